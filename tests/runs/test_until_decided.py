"""`audit --until decided`: the portions become val, equal to that of an audit of the same number of rows."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from overmem import store
from overmem.audit import Audit, audit, until
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest


@pytest.fixture
def stops(monkeypatch):
    """Looks after 4, 8 and 12 questions; the first one drops checkpoint-2 and the second one decides."""
    regimes = iter(["undecided", "healthy", "healthy", "healthy"])
    drops = iter([True, False, False, False])
    monkeypatch.setattr(until, "looks", lambda planned: (*(n for n in (4, 8) if n < planned), planned))
    monkeypatch.setattr(until, "assess", lambda evidence, limits: SimpleNamespace(regime=next(regimes)))

    def out(facts, level):
        return (facts.rows[0],) if next(drops) else ()

    monkeypatch.setattr(until, "out_of_the_race", out)


def options(run, data_file, base, **more):
    return Audit(str(run), data=str(data_file), base=str(base), rows=12, side_rows=5, max_new_tokens=8, **more)


def test_the_evaluated_questions_are_val_and_the_plan_says_why_it_stopped(
    foreign_run, base, data_file, tmp_path, stops
):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    done = audit(options(run, data_file, base, until="decided"))
    plan = store.read_plan(done.run)
    assert (plan.stopping.asked, plan.stopping.planned, plan.stopping.looks) == (8, 12, 2)
    assert plan.stopping.dropped == {"checkpoint-2": 4}
    assert [c.name for c in plan.checkpoints] == ["base", "checkpoint-4"]
    assert (plan.splits["val"].n, plan.splits["test"].n, plan.splits["train"].n) == (8, 8, 5)
    assert plan.stopping.regime == "healthy"
    assert not (done.run.home / until.FOLDER).exists()
    whole = audit(replace(options(run, data_file, base), rows=8, out=str(tmp_path / "whole")))
    joined, at_once = (store.read_curves(r, "val", checkpoints={"checkpoint-4"}) for r in (done.run, whole.run))
    assert joined.example_ids == at_once.example_ids
    np.testing.assert_allclose(joined.nll_sums, at_once.nll_sums, rtol=1e-5)
    np.testing.assert_array_equal(joined.correct, at_once.correct)


def test_the_base_model_completes_the_first_portion_only(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    done = audit(options(run, data_file, base, until="decided"))
    curves = store.read_curves(done.run, "val", checkpoints={"base"})
    assert np.isfinite(curves.correct).sum() == 4
    assert np.isfinite(curves.nll_sums).all()


def test_the_same_command_again_observes_nothing_more(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    first = audit(options(run, data_file, base, until="decided"))
    for more in ({"until": "decided"}, {"until": "decided", "rows": None}):
        again = audit(replace(options(run, data_file, base), **more))
        assert again.computed == 0
        assert store.read_plan(again.run).stopping == store.read_plan(first.run).stopping


def test_an_interrupted_audit_resumes_at_its_look(foreign_run, base, data_file, tmp_path, stops, monkeypatch):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    config = options(run, data_file, base, until="decided")
    write_val = until._write_val

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(until, "_write_val", killed)
    with pytest.raises(KeyboardInterrupt):
        audit(config)
    folder = tmp_path / "run" / "overmem" / until.FOLDER / "observations"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}
    assert len(before) > 8
    monkeypatch.setattr(until, "_write_val", write_val)
    monkeypatch.setattr(until, "assess", lambda evidence, limits: SimpleNamespace(regime="healthy"))
    monkeypatch.setattr(until, "delete_looks", lambda run: None)
    monkeypatch.setattr("overmem.audit.verb.delete_looks", lambda run: None)
    assert store.read_plan(audit(config).run).stopping.looks == 1
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}


def test_the_verdict_has_a_smaller_level_and_a_warning(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    audit(options(run, data_file, base, until="decided"))
    verdict = diagnose(Diagnose(str(run)))
    (warning,) = [w for w in verdict.warnings if w.startswith("8 of 12 questions of val")]
    assert "checkpoint-2 after 4" in warning
    assert verdict.limits.alpha < 0.05


@pytest.mark.parametrize("more", [{"budget": "1m"}, {"workers": 2}, {"splits": ("val",)}])
def test_options_that_cannot_be_combined_with_looks_are_refused(foreign_run, base, data_file, more):
    with pytest.raises(BadRequest, match="leave out --"):
        audit(options(foreign_run, data_file, base, until="decided", **more))
