"""Milliseconds that taking and giving back one unit of an audit's work costs: median of 40.

    python benchmarks/queue_overhead.py

The queue has 500 units at 50 checkpoints, 63 of which other workers hold.
"""

import sys
import tempfile
import time
from statistics import median

from overmem import store
from overmem.models.discovery import CheckpointRef
from overmem.observe.plan import Split
from overmem.observe.queue import WorkQueue
from overmem.observe.work import WorkUnit
from overmem.records import Checkpoint


def unit(checkpoint, split):
    """A unit that scores one split at one checkpoint."""
    return WorkUnit(CheckpointRef(Checkpoint(checkpoint, 1), checkpoint), "w", Split(split, (), (), "r"), ("scores",))


def overheads(run):
    """Milliseconds of every unit."""
    units = [unit(f"checkpoint-{i}", f"split-{j}") for i in range(50) for j in range(10)]
    others = WorkQueue(run, units)
    for _ in range(63):
        others.take()
    queue = WorkQueue(run, units)
    loaded = None
    for _ in range(40):
        start = time.perf_counter()
        taken, lease = queue.take(loaded)
        lease.__enter__()
        took = time.perf_counter() - start
        time.sleep(0.001)  # the work
        start = time.perf_counter()
        lease.__exit__(None, None, None)
        yield 1e3 * (took + time.perf_counter() - start)
        loaded = taken.checkpoint


with tempfile.TemporaryDirectory() as folder:
    sys.stdout.write(f"{median(overheads(store.open_run(folder))):.2f}\n")
