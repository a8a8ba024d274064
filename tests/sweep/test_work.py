"""The work of a sweep: each run is done once, with failures recorded and weights deleted."""

import threading

import pytest

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Checkpoint, CheckpointVerdict, Choice, Estimate, Verdict
from overmem.sweep import work
from overmem.sweep.conditions import planned_runs
from overmem.sweep.options import Sweep

NONE = Estimate(None)


def judged(*names, shipped):
    verdicts = [
        CheckpointVerdict(Checkpoint(name, step), "healthy", NONE, NONE, NONE, NONE, None, None)
        for step, name in enumerate(names)
    ]
    choice = Choice("overmem", shipped, NONE, NONE, NONE)
    return Verdict("healthy", "fine", (), tuple(verdicts), None, None, choice, ())


@pytest.fixture
def runs(tmp_path):
    return planned_runs(Sweep(str(tmp_path / "sweep"), {}, {"learning_rate": [1e-4, 1e-3]}, seeds=2))


@pytest.fixture
def calls(monkeypatch):
    """Training, auditing and judging without a model: each writes down that it was called."""
    made = []

    def train(recipe, *, progress):
        made.append(("train", recipe.output))
        store.open_run(_folder(recipe.output))
        progress("epoch 1", 1.0, 2.0)

    def audit(config, *, progress):
        made.append(("audit", config.run))
        return type("Audited", (), {"run": store.open_run(config.run), "failures": {}})

    monkeypatch.setattr(work, "train", train)
    monkeypatch.setattr(work, "audit", audit)
    monkeypatch.setattr(work, "diagnose", lambda config: judged("base", "checkpoint-1", shipped="checkpoint-1"))
    return made


def _folder(path):
    from pathlib import Path

    Path(path).mkdir(parents=True, exist_ok=True)
    return path


def test_every_run_is_trained_and_audited_once_and_never_again(runs, calls):
    moves = []
    work.work_through(runs, "all", progress=lambda *move: moves.append(move))
    assert [what for what, _ in calls] == ["train", "audit"] * 4
    assert all(map(work.is_done, runs))
    assert moves[0][1:] == (0.25, 4)
    assert moves[-1][1:] == (4, 4)
    work.work_through(runs, "all")
    assert len(calls) == 8


def test_a_changed_audit_audits_again_without_training(runs, calls, tmp_path):
    work.work_through(runs, "all")
    vary = {"learning_rate": [1e-4, 1e-3]}
    changed = planned_runs(Sweep(str(tmp_path / "sweep"), {}, vary, seeds=2, audit={"rows": 9}))
    work.work_through(changed, "all")
    assert [what for what, _ in calls[8:]] == ["audit"] * 4


def test_a_failed_run_is_recorded_and_the_others_continue(runs, calls, monkeypatch):
    good = work.train

    def train(recipe, *, progress):
        if recipe.learning_rate == 1e-3:
            raise BadRequest("it cannot be")
        good(recipe, progress=progress)

    monkeypatch.setattr(work, "train", train)
    work.work_through(runs, "all")
    assert [work.failure(run) for run in runs] == [None, "it cannot be"] * 2
    monkeypatch.setattr(work, "train", good)
    work.work_through(runs, "all")
    assert [work.is_done(run) for run in runs] == [True, False] * 2
    work.forget_failures(runs)
    work.work_through(runs, "all")
    assert all(map(work.is_done, runs))


def test_two_workers_share_the_runs(runs, calls, monkeypatch):
    slow = work.audit
    monkeypatch.setattr(work, "audit", lambda *a, **k: (threading.Event().wait(0.05), slow(*a, **k))[1])
    workers = [threading.Thread(target=work.work_through, args=(runs, "all"), kwargs={"wait": 0.01}) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(calls) == sorted((what, str(run.root)) for run in runs for what in ("train", "audit"))
    assert not [*(runs[0].root.parent.parent / "leases").glob("*.json")]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("all", {"checkpoint-1", "checkpoint-2", "checkpoint-3", "mine"}),
        ("recommended", {"checkpoint-2", "checkpoint-3", "mine"}),
        ("none", {"mine"}),
    ],
)
def test_only_the_weights_that_the_policy_keeps_are_left(tmp_path, keep, left):
    names = ["base", "checkpoint-1", "checkpoint-2", "checkpoint-3", "../outside"]
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in [*names[1:4], "mine"]:
        (tmp_path / "run" / name).mkdir(parents=True)
    run = store.open_run(tmp_path / "run")
    work.delete_weights(run, judged(*names, shipped="checkpoint-2"), keep)
    assert {p.name for p in run.root.iterdir() if p.is_dir()} - {"overmem"} == left
    assert outside.is_dir()
