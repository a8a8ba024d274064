"""The verb `worker`: does units of a run's queue until all are done, in parallel with any number of other workers."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import psutil
import torch

from overmem import store
from overmem.audit.grading import unit_grader
from overmem.audit.queue_file import decoding_of, read_queue, refs_of, splits_of
from overmem.audit.worker_options import Worker
from overmem.errors import BadRequest
from overmem.models.discovery import load_tokenizer
from overmem.models.loading import Skeleton, chosen_device
from overmem.observe.engines import ENGINES
from overmem.observe.pace import Pace
from overmem.observe.queue import WorkQueue, clear_leases
from overmem.observe.walk import observe
from overmem.observe.work import ObservationSetup, pending
from overmem.store.leases import Leases


@dataclass(frozen=True)
class Worked:
    """What a worker did."""

    run: store.Run
    computed: int
    """Number of units that this worker did."""
    is_finished: bool
    """Whether this worker measured and judged the run at the end."""


def work(
    config: Worker, *, say: Callable[[str], None] = lambda line: None, until: Callable[[], bool] = lambda: False
) -> Worked:
    """Do units of the queue until all are done.

    Args:
        config: the run whose queue to work on.
        say: called with a line on each thing that happens.
        until: whether to end early; called between units.

    Raises:
        BadRequest: the run was not planned, or this machine would not observe what was planned.
    """
    run = store.open_run(config.run, config.out)
    queue_file = read_queue(run)
    decoding = decoding_of(queue_file)
    if decoding.engine not in ENGINES and decoding.engine != config.engine:
        raise BadRequest(f"the plan of {run.root} completes with {decoding.engine!r}, which is code: give --engine")
    device = chosen_device(config.device)
    tokenizer = load_tokenizer(queue_file.tokenizer)
    splits = splits_of(run, queue_file, tokenizer)
    skeleton = Skeleton(queue_file.base, device, getattr(torch, queue_file.dtype))
    units, _, failures = pending(run, refs_of(run, queue_file), splits, queue_file.base)
    for name, reason in failures.items():
        store.write_failure(run, name, reason)
    queue = WorkQueue(run, units, pace=Pace(decoding.repeats))
    say(f"{sum(len(unit.kinds) for unit in units)} units of work left, on {device}")
    parent = config.parent_pid
    computed = observe(
        ObservationSetup(run, skeleton, tokenizer, decoding, queue_file.token_budget),
        queue,
        on_written=unit_grader(run, None, run_code=config.run_code),
        until=lambda: until() or (parent is not None and not psutil.pid_exists(parent)),
    )
    say(f"{computed} units of work done by this worker")
    is_over = not queue.remaining
    if is_over:
        clear_leases(run, [], queue.leases)
    return Worked(run, computed, config.finish and is_over and _finish(run, config, say))


def _finish(run: store.Run, config: Worker, say: Callable[[str], None]) -> bool:
    """Measure and judge the run, unless another worker is doing so."""
    from overmem.audit.judgement import measure_and_judge  # only this needs the probes, which load SciPy

    lease = Leases().take(run.home / ".finish.lease")
    if lease is None:
        return False
    with lease:
        measure_and_judge(run, config.run, config.out, run_code=config.run_code, say=say)
    return True


@contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Within this block SIGTERM ends the process like Ctrl-C, so the lease is released and another worker continues.

    Schedulers send SIGTERM before they preempt a job or its time is up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
