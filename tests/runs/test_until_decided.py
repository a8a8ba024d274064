"""An audit that stops when it knows: portions become val, and what was asked is what an audit of as many rows asks."""

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
    """Looks after 4, 8 and 12 questions; the second one decides, and the first leaves checkpoint-2 behind."""
    found = iter(["undecided", "healthy", "healthy", "healthy"])
    passed = iter([True, False, False, False])
    monkeypatch.setattr(until, "looks", lambda planned: (*(n for n in (4, 8) if n < planned), planned))
    monkeypatch.setattr(until, "assess", lambda evidence, limits: SimpleNamespace(regime=next(found)))

    def out(facts, level):
        return (facts.rows[0],) if next(passed) else ()

    monkeypatch.setattr(until, "out_of_the_race", out)


def options(run, data_file, base, **more):
    return Audit(str(run), data=str(data_file), base=str(base), rows=12, side_rows=5, max_new_tokens=8, **more)


def test_what_was_asked_is_val_and_the_plan_says_why_no_more(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    lines = []
    done = audit(options(run, data_file, base, until="decided"), say=lines.append)
    plan = store.read_plan(done.run)
    assert (plan.stopping.asked, plan.stopping.planned, plan.stopping.looks) == (8, 12, 2)
    assert plan.stopping.dropped == {"checkpoint-2": 4}
    assert [c.name for c in plan.checkpoints] == ["base", "checkpoint-4"]
    assert (plan.splits["val"].n, plan.splits["test"].n, plan.splits["train"].n) == (8, 8, 5)
    assert any("8 of 12 questions of val were asked, in 2 looks: the end of the run is healthy." in x for x in lines)
    assert not (done.run.home / until.FOLDER).exists()
    whole = audit(replace(options(run, data_file, base), rows=8, out=str(tmp_path / "whole")))
    parts, at_once = (store.read_curves(r, "val", checkpoints={"checkpoint-4"}) for r in (done.run, whole.run))
    assert parts.example_ids == at_once.example_ids
    np.testing.assert_allclose(parts.nll_sums, at_once.nll_sums, rtol=1e-5)
    np.testing.assert_array_equal(parts.correct, at_once.correct)


def test_the_base_model_completes_the_first_portion_only(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    done = audit(options(run, data_file, base, until="decided"))
    curves = store.read_curves(done.run, "val", checkpoints={"base"})
    assert np.isfinite(curves.correct).sum() == 4
    assert np.isfinite(curves.nll_sums).all()


def test_the_same_command_again_asks_nothing_more(foreign_run, base, data_file, tmp_path, stops):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    first = audit(options(run, data_file, base, until="decided"))
    for more in ({"until": "decided"}, {"until": "decided", "rows": None}):
        again = audit(replace(options(run, data_file, base), **more))
        assert again.computed == 0
        assert store.read_plan(again.run).stopping == store.read_plan(first.run).stopping


def test_a_stopped_audit_goes_on_at_its_look(foreign_run, base, data_file, tmp_path, stops, monkeypatch):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    config = options(run, data_file, base, until="decided")
    become = until._become_val

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(until, "_become_val", killed)
    with pytest.raises(KeyboardInterrupt):
        audit(config)
    folder = tmp_path / "run" / "overmem" / until.FOLDER / "observations"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}
    assert len(before) > 8
    monkeypatch.setattr(until, "_become_val", become)
    monkeypatch.setattr(until, "assess", lambda evidence, limits: SimpleNamespace(regime="healthy"))
    monkeypatch.setattr(until, "forget_looks", lambda run: None)
    monkeypatch.setattr("overmem.audit.verb.forget_looks", lambda run: None)
    assert store.read_plan(audit(config).run).stopping.looks == 1
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*/*.parquet")}


def test_the_verdict_says_how_many_questions_were_asked_and_at_what_level(
    foreign_run, base, data_file, tmp_path, stops
):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    audit(options(run, data_file, base, until="decided"))
    verdict = diagnose(Diagnose(str(run)))
    told = next(w for w in verdict.warnings if w.startswith("8 of 12 questions of val were asked"))
    assert "Not asked on, because a later checkpoint was shown to be more accurate: checkpoint-2 after 4." in told
    assert verdict.limits.alpha < 0.05


@pytest.mark.parametrize("more", [{"budget": "1m"}, {"workers": 2}, {"splits": ("val",)}])
def test_what_does_not_go_with_looks_is_refused(foreign_run, base, data_file, more):
    with pytest.raises(BadRequest, match="leave out --"):
        audit(options(foreign_run, data_file, base, until="decided", **more))
