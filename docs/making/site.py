"""Pages of the documentation site that are written elsewhere: README, CONTRIBUTING, glossary, changelog, notebook.

mkdocs calls the functions `on_*` (`hooks` in mkdocs.yml). Pages link to each other as files of the repository, so that
the links work there; what a link finds outside of docs/ is a page of the site too, or is copied to it.
"""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)?(#[^)\s]*)?(\))")
GLOSSARY = re.compile(r"^## Glossary\n+(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CONTRIBUTING.md#glossary": "glossary.md",
    "CHANGELOG.md": "changelog.md",
    "examples/audit_a_run.ipynb": "notebook.md",
    "docs/results": "results/index.md",
}
"""Place in the repository -> page of the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every page of results is in the navigation, by its heading."""
    assert config.nav is not None
    results = next(part["Results"] for part in config.nav if "Results" in part)
    results += [{_title(page): f"results/{page.name}"} for page in _results()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made here, and files outside of docs/ that a page links to."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    glossary = GLOSSARY.search(contributing)
    assert glossary is not None
    pages = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "contributing.md": GLOSSARY.sub("", contributing),
        "glossary.md": f"# Glossary\n\n{glossary[1]}",
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "notebook.md": _notebook(ROOT / "examples" / "audit_a_run.ipynb"),
        "results/index.md": _index_of_results(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for page in files.documentation_pages():
        for path in _links_outside(page.content_string, _place(page.src_uri)):
            if files.get_file_from_path(f"files/{path}") is None:
                files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "assets/site.css", abs_src_path=str(ROOT / "docs" / "making" / "site.css")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links of the repository as links of the site."""
    source = page.file.src_uri
    here = posixpath.dirname(source)

    def rewritten(match: re.Match[str]) -> str:
        before, path, anchor, after = match.group(1), match.group(2) or "", match.group(3) or "", match.group(4)
        if not path or ":" in path:
            return match[0]
        place = _resolved(path, _place(source))
        whole = f"{place}{anchor}"
        target = PAGES.get(whole) or PAGES.get(place)
        anchor = "" if whole in PAGES else anchor
        if target is None:
            target = place.removeprefix("docs/") if place.startswith("docs/") else f"files/{place}"
        return f"{before}{posixpath.relpath(target, here or '.')}{anchor}{after}"

    return LINK.sub(rewritten, markdown)


def _place(source: str) -> str:
    """Where in the repository a page of the site is written."""
    elsewhere = {page: place.partition("#")[0] for place, page in PAGES.items() if place != "docs/results"}
    return elsewhere.get(source, f"docs/{source}")


def _resolved(path: str, place: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), path))


def _links_outside(text: str, place: str) -> Iterator[str]:
    """Files of the repository outside of docs/ that a page links to and that are not pages of the site themselves."""
    for _, path, _, _ in LINK.findall(text):
        if path and ":" not in path:
            resolved = _resolved(path, place)
            if not resolved.startswith("docs/") and resolved not in PAGES and (ROOT / resolved).is_file():
                yield resolved


def _results() -> list[Path]:
    return sorted(page for page in (ROOT / "docs" / "results").glob("*.md"))


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _index_of_results() -> str:
    rows = [f"- [{_title(page)}]({page.name})" for page in _results()]
    return "\n".join(["# Results", "", "What was measured, with the commands that measured it.", "", *rows, ""])


def _notebook(path: Path) -> str:
    """The notebook's text, code and printed results."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            text = "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
            parts += [f"```text\n{text.rstrip()}\n```"] if text else []
    return "\n\n".join(parts) + "\n"
