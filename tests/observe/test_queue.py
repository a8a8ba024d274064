"""The queue of an audit: what a worker takes, from the files that all workers share."""

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from overmem import store
from overmem.models.discovery import CheckpointRef
from overmem.observe.plan import Split
from overmem.observe.queue import QueueState, WorkQueue, clear_leases, preferred
from overmem.observe.work import UnitKey, WorkUnit
from overmem.records import Checkpoint, Completions
from overmem.store.leases import Holder, Leases


def unit(checkpoint, split, kinds=("samples",)):
    return WorkUnit(CheckpointRef(Checkpoint(checkpoint, 1), checkpoint), "w", Split(split, (), (), "r"), kinds)


def write(run, of):
    none = np.zeros(0, dtype=np.int32)
    empty = Completions((), none, none.astype(np.float32), (), none, none.astype(np.float32), ())
    store.write_samples(run, of.checkpoint, of.split.name, empty, weights="w", request="r")


@pytest.fixture
def run(tmp_path):
    return store.open_run(tmp_path)


UNITS = [unit(c, s) for c in ("checkpoint-1", "checkpoint-2") for s in ("val", "test")]


def test_a_worker_keeps_to_its_checkpoint_and_a_second_one_goes_to_another(run):
    first, second = WorkQueue(run, UNITS), WorkQueue(run, UNITS)
    one, _ = first.take()
    other, _ = second.take()
    assert (one.checkpoint, other.checkpoint) == ("checkpoint-1", "checkpoint-2")
    assert first.take(one.checkpoint)[0].checkpoint == "checkpoint-1"
    assert second.take(other.checkpoint)[0].checkpoint == "checkpoint-2"
    assert first.take() is None
    assert len(first.remaining) == 4  # they are held, and not done


def test_the_longest_unit_of_a_checkpoint_comes_first():
    seconds = {UnitKey("a", "val"): 1.0, UnitKey("a", "test"): 3.0, UnitKey("b", "val"): 2.0}
    state = QueueState(tuple(seconds), ())
    assert preferred(state, None, seconds.__getitem__)[0] == ("a", "test")
    assert preferred(state, "b", seconds.__getitem__)[0] == ("b", "val")


def test_a_free_worker_goes_where_most_is_left_for_each_worker():
    seconds = {UnitKey("a", f"s{i}"): 1.0 for i in range(5)} | {UnitKey("b", f"s{i}"): 1.0 for i in range(3)}
    held = (UnitKey("a", "x"),)  # 5 for two, or 3 for one
    assert preferred(QueueState(tuple(seconds), held), None, seconds.__getitem__)[0].checkpoint == "b"


def test_a_unit_that_another_worker_finished_is_not_taken(run):
    queue = WorkQueue(run, UNITS)
    queue.look()
    for done in UNITS[:3]:
        write(run, done)
    taken, lease = queue.take()
    assert taken is UNITS[3]
    lease.release()
    write(run, UNITS[3])
    assert queue.take() is None
    assert not queue.wait(until=lambda: False)
    assert queue.remaining == []


def test_units_of_other_weights_are_not_done(run):
    stale = [WorkUnit(u.ref, "other", u.split, u.kinds) for u in UNITS]
    for done in UNITS:
        write(run, done)
    queue = WorkQueue(run, stale)
    assert queue.take() is not None
    assert len(queue.remaining) == 4


def test_a_checkpoint_that_failed_is_left_out(run):
    store.write_failure(run, "checkpoint-1", "truncated")
    queue = WorkQueue(run, UNITS)
    assert queue.take()[0].checkpoint == "checkpoint-2"
    assert len(queue.remaining) == 2


def test_a_worker_waits_for_the_units_of_others_and_takes_over_what_they_leave(run):
    queue, other = WorkQueue(run, UNITS[:1]), WorkQueue(run, UNITS[:1])
    _, lease = other.take()
    assert queue.take() is None
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            lease.release()

    assert queue.wait(until=lambda: False, sleep=nap)
    assert len(naps) == 3
    assert queue.take() is not None


def test_a_worker_that_is_told_to_stop_does_not_wait(run):
    queue = WorkQueue(run, UNITS[:1])
    WorkQueue(run, UNITS[:1]).take()
    assert not queue.wait(until=lambda: True)


def test_leases_of_finished_units_are_removed_and_those_of_workers_are_kept(run):
    queue = WorkQueue(run, UNITS)
    done, _ = queue.take()
    working, _ = queue.take()
    write(run, done)
    clear_leases(run, UNITS, Leases())
    assert not run.lease_path(*done.key).exists()
    assert run.lease_path(*working.key).exists()


def test_the_lease_of_a_unit_that_was_done_before_is_removed_if_its_worker_was_killed(run):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = run.lease_path(*UNITS[0].key)
    holder = asdict(Holder.this_process()) | {"process": gone.pid}
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(holder))
    clear_leases(run, [], Leases())
    assert not path.exists()
