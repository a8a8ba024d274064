"""`import overmem`: light, complete, and the same whatever part of the package was imported before."""

import importlib
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import overmem
from overmem.audit.verb import Audited
from overmem.errors import BadRequest

GOLDEN = Path(__file__).parent / "golden" / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front") / "run"
    shutil.copytree(GOLDEN, folder)
    return folder


@pytest.fixture(scope="module")
def verdict(run):
    return overmem.diagnose(run)


def test_every_public_name_is_there():
    for name in overmem.__all__:
        assert getattr(overmem, name) is not None
        assert name in dir(overmem)
    with pytest.raises(AttributeError, match="audits"):
        _ = overmem.audits


@pytest.mark.parametrize("name", ["audit", "compare", "diagnose", "report"])
def test_a_verb_stays_a_function_after_its_package_was_imported(name):
    importlib.import_module(f"overmem.{name}")
    verb = getattr(overmem, name)
    assert callable(verb)
    assert inspect.getdoc(verb)
    assert next(iter(inspect.signature(verb).parameters)).startswith("run")
    with pytest.raises(BadRequest):
        verb(*["no such run"] * (2 if name == "compare" else 1))


def test_a_package_is_reached_through_the_name_of_its_verb(monkeypatch):
    import overmem.audit.options as options

    assert overmem.audit.options is options
    monkeypatch.setattr("overmem.audit.options.Audit", "patched")
    assert options.Audit == "patched"


def test_a_printed_verdict_can_be_read(verdict):
    text = str(verdict)
    assert text.startswith(verdict.headline)
    assert all(v.checkpoint.name in text and v.regime in text for v in verdict.checkpoints)
    assert "array" not in text
    assert "Estimate(" not in text


def test_the_repr_of_a_verdict_is_a_line(verdict):
    assert len(repr(verdict)) < 120
    assert verdict.regime in repr(verdict)


def test_a_verdict_renders_in_a_notebook(verdict):
    assert "| checkpoint |" in verdict._repr_markdown_()


def test_diagnose_from_python_writes_nothing(run):
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*")}
    overmem.diagnose(run)
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*")} == before


def test_a_run_shows_its_verdict_measurements_curves_and_samples(run):
    opened = overmem.open(run)
    assert opened.verdict.checkpoints
    assert isinstance(opened.curves("val"), overmem.Curves)
    assert repr(opened.curves("val")).startswith("Curves(")
    name = opened.checkpoints[-1].name
    assert repr(opened.samples(name, "val")).startswith("Samples(")
    assert opened.verdict.regime in repr(opened)
    assert "<table>" in opened._repr_html_()


def test_measurements_are_a_polars_table_or_an_error_that_says_what_to_run(run):
    opened = overmem.open(run)
    if opened.files.measurements_path.is_file():
        assert isinstance(opened.measurements, pl.DataFrame)
    else:
        with pytest.raises(BadRequest, match="overmem audit"):
            _ = opened.measurements


def test_an_unknown_option_is_refused_with_the_allowed_ones(run):
    with pytest.raises(BadRequest, match=r"margins.*margin"):
        overmem.diagnose(run, margins=0.1)


def test_a_run_without_a_verdict_shows_the_reason_instead_of_raising(tmp_path):
    opened = overmem.open(tmp_path)
    assert "no verdict: " in repr(opened)
    assert "no verdict: " in opened._repr_html_()


def test_train_takes_paths_and_refuses_unknown_keys_by_name(tmp_path):
    (tmp_path / "recipe.yaml").write_text("output: elsewhere\n")
    for recipe in (None, tmp_path / "recipe.yaml"):
        with pytest.raises(BadRequest, match=r"learning_rat.*learning_rate"):
            overmem.train(recipe, output=tmp_path / "run", learning_rat=0.1)


def test_a_search_of_merges_has_a_function_of_its_own(tmp_path):
    with pytest.raises(BadRequest, match="search_merges"):
        overmem.merge(tmp_path, search=True)
    with pytest.raises(BadRequest, match="chooses checkpoints"):
        overmem.search_merges(tmp_path, rule="slerp")


def test_an_audit_is_shown_in_a_line(tmp_path):
    done = Audited(overmem.open(tmp_path).files, (), 3, 4, {"checkpoint-9": "unreadable"})
    assert "3 units of work done, 4 skipped because already done, 1 checkpoints failed" in repr(done)


def test_a_library_that_is_not_installed_is_named_with_its_extra(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; import overmem\n"
        f"try: overmem.merge({str(tmp_path)!r})\n"
        "except overmem.errors.BadRequest as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'overmem[audit]'" in done.stdout
