"""House rules that a tool can check."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.making.api import api_page
from docs.making.methods import methods_page
from overmem.cli import main
from overmem.cli.verbs import VERBS

ROOT = Path(__file__).parents[1]


def loaded_by(statement):
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("module", ["overmem", "overmem.cli"])
def test_the_front_door_loads_nothing_heavy(module):
    assert not loaded_by(f"import {module}") & {"torch", "transformers", "polars", "numpy", "tyro", "altair"}


@pytest.mark.parametrize("module", ["overmem.report", "overmem.diagnose", "overmem.store", "overmem.probes"])
def test_a_verdict_is_rebuilt_without_torch(module):
    assert not loaded_by(f"import {module}") & {"torch", "transformers"}


@pytest.mark.parametrize("folder", ["src", "studies", "benchmarks", "pebble", "docs", "tests"])
def test_no_python_file_is_longer_than_300_lines(folder):
    lengths = {p: len(p.read_text().splitlines()) for p in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > 300} == {}


def test_the_page_of_the_python_interface_is_what_the_docstrings_say():
    assert (ROOT / "docs" / "api.md").read_text() == api_page(), "run `make docs`"


def test_the_methods_page_is_what_the_docstrings_say():
    assert (ROOT / "docs" / "methods.md").read_text() == methods_page(), "run `make docs`"


EVERY_HELP = """
import contextlib, io, json, sys
from overmem.cli import VERBS, main
pages = {}
for verb in VERBS:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([verb, "--help"])
    heavy = {"torch", "transformers", "polars", "scipy", "altair"} & set(sys.modules)
    pages[verb] = [out.getvalue(), sorted(heavy)]
print(json.dumps(pages))
"""


@pytest.fixture(scope="module")
def help_pages():
    done = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_every_verb_that_the_documents_name_exists_and_has_help(help_pages):
    text = "".join(p.read_text() for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    named = set(re.findall(r"^overmem (\w+)|`overmem (\w+)", text, re.M))
    verbs = {a or b for a, b in named}
    assert {"train", "audit", "merge"} <= verbs <= {*VERBS, "help"}
    for verb, (page, _) in help_pages.items():
        assert VERBS[verb].summary[1:40] in " ".join(page.split())


def test_the_help_of_a_verb_loads_nothing_heavy(help_pages):
    assert {verb: loaded for verb, (_, loaded) in help_pages.items() if loaded} == {}


def test_an_unknown_verb_is_refused_with_the_allowed_ones(capsys):
    with pytest.raises(SystemExit) as exit_of:
        main(["trian"])
    assert exit_of.value.code == 2
    err = capsys.readouterr().err
    assert "trian" in err
    assert "train" in err


def pages():
    """Every page that people read -> its Markdown; of a notebook, that of its cells."""
    paths = [p for p in ROOT.rglob("*.md") if not {".venv", "runs", "node_modules"} & {*p.relative_to(ROOT).parts}]
    texts = {path: path.read_text() for path in paths if ".template." not in path.name}
    for path in (ROOT / "examples").glob("*.ipynb"):
        texts[path] = "\n".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    return texts


def anchors(text):
    """The fragments by which a page's headings are linked."""
    headings = re.findall(r"^#+ (.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_to_a_file_and_a_heading_that_are_there():
    texts = pages()
    assert {"README.md", "CONTRIBUTING.md", "training.md", "audit_a_run.ipynb"} <= {path.name for path in texts}
    broken = []
    for page, text in texts.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
            name, _, heading = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            target_text = texts.get(target) if heading else None
            if not link.startswith(("http:", "https:")) and (
                not target.exists() or (heading and (target_text is None or heading not in anchors(target_text)))
            ):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def modules():
    """Dotted name -> file, of the package and of the studies."""
    paths = {p: p.relative_to(ROOT / "src") for p in (ROOT / "src" / "overmem").rglob("*.py")}
    paths |= {p: p.relative_to(ROOT) for p in (ROOT / "studies").rglob("*.py")}
    return {".".join(short.with_suffix("").parts).removesuffix(".__init__"): path for path, short in paths.items()}


def imported_by(path, names):
    """The modules that a file imports when it is loaded."""
    imported = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            imported |= {full if full in names else node.module for full in whole.values()}
    return imported & names


def test_no_two_files_import_each_other():
    files = modules()
    imports = {name: imported_by(path, files.keys()) - {name} for name, path in files.items()}
    assert sum(map(len, imports.values())) > 300
    assert [(a, b) for a in imports for b in imports[a] if a < b and a in imports[b]] == []


MACHINE = re.compile(r"(?<![\w.~-])/(home|root|Users|mnt|work)/")
"""Where somebody's machine keeps its files."""


def test_no_file_contains_a_path_of_some_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    paths = [ROOT / name for name in listed] or [p for p in ROOT.rglob("*.*") if ".venv" not in p.parts]
    texts = {p: p.read_bytes().decode(errors="ignore") for p in paths if p.is_file() and p.suffix in TEXT}
    assert texts
    assert [str(p) for p, text in texts.items() if p.name != "test_house.py" and MACHINE.search(text)] == []


TEXT = {".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".j2", ".sh", ".cfg", ".css", ""}
"""Suffixes of files that people read."""
