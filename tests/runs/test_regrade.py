"""A mended grader grades the completions of an old audit again, and no model is loaded for that."""

import json
import shutil
from dataclasses import replace

import pytest

from overmem import grading, store
from overmem.audit import audit
from overmem.errors import BadRequest
from overmem.grading import Grade, Grader
from overmem.models.loading import Skeleton


@pytest.fixture
def no_model(monkeypatch):
    def load(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(Skeleton, "model", load)


def mended(monkeypatch, version):
    """Every answer of mathematics is right from now on."""
    grader = Grader(lambda text, example: Grade("right", example.answer), version)
    monkeypatch.setattr(grading, "GRADERS", {**grading.GRADERS, "math": grader})


def accuracies(done):
    return {m.value for m in done.measurements if m.metric == "accuracy"}


@pytest.mark.usefixtures("no_model")
def test_a_mended_grader_grades_every_old_completion_again_without_a_model(audited, monkeypatch):
    config, first = audited
    assert accuracies(first) == {0.0}
    mended(monkeypatch, "mended")
    lines = []
    again = audit(config, say=lines.append)
    assert (again.computed, again.failures) == (0, {})
    assert accuracies(again) == {1.0}
    assert any("graded by math mended" in line for line in lines)
    monkeypatch.setattr(store, "write_grades", lambda *_, **__: pytest.fail("graded twice"))
    assert accuracies(audit(config)) == {1.0}


@pytest.mark.usefixtures("no_model")
def test_completions_that_an_audit_left_ungraded_are_graded_by_the_next_one(audited):
    config, first = audited
    for path in (first.run.home / "observations").glob("*/*.grades.parquet"):
        path.unlink()
    checkpoint = store.read_checkpoints(first.run)[0]
    assert store.read_snapshot(first.run, checkpoint).samples == {}
    assert len(accuracies(audit(config))) == 1


def test_a_grader_from_elsewhere_grades_and_is_not_imported_because_a_run_names_it(audited, tmp_path, monkeypatch):
    config, _ = audited
    (tmp_path / "lenient.py").write_text(
        "from overmem.grading import Grade\n\n"
        "def grade(text, example):\n    return Grade('right' if text else 'wrong', text[:1])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data.yaml").write_text(json.dumps({"source": config.data, "kind": "lenient:grade"}))
    run = shutil.copytree(config.run, tmp_path / "run", ignore=shutil.ignore_patterns("overmem"))
    own = replace(config, run=str(run), data=str(tmp_path / "data.yaml"), splits=("val",))
    done = audit(own)
    assert accuracies(done) == {1.0}
    with pytest.raises(BadRequest, match="lenient:grade"):
        audit(replace(own, data=None))
    (tmp_path / "other.yaml").write_text(json.dumps({"source": config.data, "kind": "proof"}))
    with pytest.raises(
        BadRequest, match=r"unknown kind of answer 'proof' in .*allowed: auto, choice, code, exact, math"
    ):
        audit(replace(own, data=str(tmp_path / "other.yaml")))
