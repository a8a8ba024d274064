"""The same audit by one process and by workers gives equal files."""

import json
import shutil
import sys
from dataclasses import replace

import polars as pl
import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.audit.executors import WorkersEnded, local_processes
from overmem.audit.executors.local_processes import LocalFleet
from overmem.audit.publish import publish
from overmem.audit.request import requested
from overmem.audit.worker import work
from overmem.audit.worker_options import Worker
from overmem.audit.workload import workload_of
from overmem.errors import BadRequest, Locked
from overmem.observe.queue import WorkQueue
from tests.processes import ForkedPopen


@pytest.fixture
def run(foreign_run, tmp_path):
    return shutil.copytree(foreign_run, tmp_path / "run")


@pytest.fixture
def options(run, base, data_file):
    return Audit(str(run), str(data_file), str(base), rows=6, side_rows=4, draws=2, max_new_tokens=8, shifts=("typos",))


@pytest.fixture
def forked(monkeypatch):
    """Local workers are forks, which need no seconds to start."""
    monkeypatch.setattr(local_processes.subprocess, "Popen", ForkedPopen)


@pytest.fixture(scope="module")
def by_one_process(foreign_run, base, data_file, tmp_path_factory):
    """The files of an audit by one process."""
    run = shutil.copytree(foreign_run, tmp_path_factory.mktemp("one") / "run")
    options = Audit(
        str(run), str(data_file), str(base), rows=6, side_rows=4, draws=2, max_new_tokens=8, shifts=("typos",)
    )
    audit(options)
    return run


def plan(options):
    """Write the plan of an audit without observing anything."""
    workload = workload_of(requested(options, lambda line: None))
    with store.locked(workload.request.run):
        publish(workload)
    return workload


def assert_same_files(a, b):
    """Two runs have the same observations and measurements, bit for bit."""
    names = sorted(str(p.relative_to(a / "overmem")) for p in (a / "overmem").glob("**/*.parquet"))
    assert names == sorted(str(p.relative_to(b / "overmem")) for p in (b / "overmem").glob("**/*.parquet"))
    assert any(name.endswith("samples.parquet") for name in names)
    for name in names:
        left, right = (pl.read_parquet(run / "overmem" / name) for run in (a, b))
        assert left.equals(right), name


def test_a_worker_does_what_an_audit_does(run, options, by_one_process):
    plan(options)
    done = work(Worker(str(run), finish=True))
    assert (done.computed > 0, done.is_finished) == (True, True)
    assert_same_files(run, by_one_process)
    assert not list(run.glob("**/*.lease"))
    assert store.read_verdict(store.open_run(run)).headline
    assert (run / "overmem" / "report.html").is_file()
    assert work(Worker(str(run))).computed == 0
    assert audit(options).computed == 0


def test_an_audit_continues_what_a_worker_began(run, options, by_one_process):
    workload = plan(options)
    seen = []

    def stop():
        seen.append(1)
        return len(seen) > 3

    begun = work(Worker(str(run)), until=stop)
    assert 0 < begun.computed < sum(len(u.kinds) for u in workload.work)
    done = audit(options)
    assert done.already_done == begun.computed
    assert_same_files(run, by_one_process)


def test_completions_that_a_killed_worker_did_not_write_are_sampled_again_identically(run, options, by_one_process):
    audit(options)
    done = store.open_run(run)
    done.unit_path("checkpoint-2", "test", "samples").unlink()
    done.unit_path("checkpoint-2", "test", "grades").unlink()
    assert audit(options).computed == 1
    assert_same_files(run, by_one_process)


def test_a_worker_whose_requests_differ_from_the_plan_refuses(run, options):
    plan(options)
    path = run / "overmem" / "queue.json"
    path.write_text(path.read_text().replace('"template": null', '"template": "Q: {question}"'))
    with pytest.raises(BadRequest, match="differs from the plan"):
        work(Worker(str(run)))


def test_a_worker_imports_no_engine_that_only_a_file_names(run, options):
    plan(options)
    path = run / "overmem" / "queue.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoding": {"engine": "somewhere:Engine"}}))
    with pytest.raises(BadRequest, match="somewhere:Engine"):
        work(Worker(str(run)))


def test_a_run_without_a_plan_has_nothing_for_a_worker(run):
    with pytest.raises(BadRequest, match="run `overmem audit"):
        work(Worker(str(run)))


def test_a_checkpoint_that_cannot_be_read_is_noted_and_the_others_are_observed(run, options):
    workload = plan(options)
    (run / "checkpoint-2" / "model.safetensors").write_bytes(b"cut off")
    done = work(Worker(str(run)))
    assert done.computed == sum(len(u.kinds) for u in workload.work if u.checkpoint != "checkpoint-2")
    failure = store.read_failure(store.open_run(run), "checkpoint-2")
    assert "checkpoint-2 cannot be loaded" in failure


def test_another_plan_is_refused_while_workers_are_observing(run, options):
    workload = plan(options)
    _, lease = WorkQueue(workload.request.run, workload.work).take()
    with lease:
        plan(options)  # the same one
        with pytest.raises(Locked, match="by another plan"):
            audit(Audit(str(run), options.data, options.base, rows=5, side_rows=4, max_new_tokens=8))


@pytest.mark.parametrize("start", ["forked", pytest.param("started", marks=pytest.mark.slow)])
def test_two_local_workers_do_what_an_audit_does(start, request, run, options, by_one_process, monkeypatch):
    if start == "forked":
        request.getfixturevalue("forked")
    seen, numbers, start = [], [], LocalFleet.start
    monkeypatch.setattr(LocalFleet, "start", lambda self, n, **how: numbers.append(n) or start(self, n, **how))
    done = audit(replace(options, workers=2), show=seen.append)
    assert_same_files(run, by_one_process)
    assert done.computed > 0
    assert not list(run.glob("**/*.lease"))
    assert (seen[-1].done, seen[-1].share) == (seen[-1].total, 1.0)
    assert numbers == [0, 1]
    assert audit(replace(options, workers=2)).computed == 0


@pytest.mark.usefixtures("forked")
def test_workers_that_were_started_early_end_without_a_trace_if_the_audit_is_refused(run, options, monkeypatch):
    fleets, start = [], LocalFleet.start
    monkeypatch.setattr(LocalFleet, "start", lambda self, n, **how: fleets.append(self) or start(self, n, **how))
    before = sorted(run.rglob("*"))
    with pytest.raises(BadRequest, match=r"missing\.jsonl"):
        audit(replace(options, data="missing.jsonl", workers=2))
    assert len(fleets) == 2
    assert all(process.poll() is not None for process in fleets[0]._running.values())
    assert sorted(run.rglob("*")) == before


@pytest.mark.usefixtures("forked")
def test_a_worker_that_died_while_it_waited_is_started_again(run, options, by_one_process, monkeypatch):
    started, start = [], LocalFleet.start

    def dies(self, number, *, waits=False):
        started.append(waits)
        start(self, number, waits=waits)
        if waits:
            self._running[number].kill()
            self._running[number].wait()

    monkeypatch.setattr(LocalFleet, "start", dies)
    audit(replace(options, workers=2))
    assert started == [True, True, False, False]
    assert_same_files(run, by_one_process)


@pytest.mark.usefixtures("forked")
def test_workers_that_are_refused_end_the_audit_with_their_reason(run, options, monkeypatch):
    monkeypatch.setattr(LocalFleet, "device", lambda self, number: "cuda:7")
    with pytest.raises(WorkersEnded, match=r"unknown device .*/workers/\d.log"):
        audit(replace(options, workers=2))


def test_an_unknown_executor_is_refused_before_anything_is_read():
    with pytest.raises(BadRequest, match=r"unknown executor 'kubernetes'.*allowed: local"):
        audit(Audit("nowhere", executor="kubernetes"))
    with pytest.raises(BadRequest, match="--workers 0"):
        audit(Audit("nowhere", workers=0))


@pytest.mark.slow
def test_actors_of_a_real_ray_cluster_do_what_an_audit_does(run, options, by_one_process, ray_starts):
    audit(replace(options, workers=2, executor="ray"))
    assert_same_files(run, by_one_process)
    assert not list(run.glob("**/*.lease"))


def test_without_ray_the_message_says_what_to_install(run, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadRequest, match=r"pip install 'overmem\[ray\]'"):
        audit(replace(options, workers=2, executor="ray"))
