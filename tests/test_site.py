"""The documentation site: every link leads somewhere, every page is in its navigation, nothing comes from the net."""

import logging
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    commands = pytest.importorskip("mkdocs.commands.build", reason="mkdocs is not installed: pip install '.[docs]'")
    config = pytest.importorskip("mkdocs.config")
    folder = tmp_path_factory.mktemp("site")
    warned = []
    watch = logging.Handler(logging.WARNING)
    watch.emit = lambda record: warned.append(record.getMessage())
    logging.getLogger("mkdocs").addHandler(watch)
    loaded = config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=False)
    commands.build(loaded)
    logging.getLogger("mkdocs").removeHandler(watch)
    return folder, warned


def test_no_link_of_the_site_is_dead_and_no_page_is_left_out_of_its_navigation(site):
    _, warned = site
    assert warned == []


def test_the_site_has_the_glossary_of_contributing_the_notebook_and_every_page_of_results(site):
    folder, _ = site
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    nouns = re.findall(r"^\| ([^|]+) \|", contributing.partition("## Glossary")[2], re.MULTILINE)[2:]
    glossary = (folder / "glossary.html").read_text()
    assert len(nouns) > 20
    assert [noun for noun in nouns if f"<td>{noun}</td>" not in glossary] == []
    assert "Glossary</h2>" not in re.sub(r"<a class=.*?</a>", "", (folder / "contributing.html").read_text())
    assert "overmem" in (folder / "notebook.html").read_text()
    index = (folder / "results" / "index.html").read_text()
    assert [p.stem for p in (ROOT / "docs" / "results").glob("*.md") if f'href="{p.stem}.html"' not in index] == []


def test_no_page_of_the_site_loads_anything_from_elsewhere(site):
    folder, _ = site
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 30
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="?(?:https?:)?//[^"> ]*', re.IGNORECASE)
    assert {match[0] for page in pages for match in loaded.finditer(page.read_text())} == set()
