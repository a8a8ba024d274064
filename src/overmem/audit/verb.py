"""The verb `audit`: observe every unit that is not current, grade the completions, and compute all measurements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from overmem import store
from overmem.audit.estimate import budget_sentence
from overmem.audit.executors import Fleet
from overmem.audit.finish import MAX_WAIT, finish
from overmem.audit.grading import unit_grader
from overmem.audit.launch import WorkStatus, check_launch, launch_of, loading_workers, run_workers
from overmem.audit.options import Audit
from overmem.audit.plan import workload_within_budget
from overmem.audit.publish import publish
from overmem.audit.request import requested
from overmem.audit.until import check_until, delete_looks, until_decided
from overmem.audit.workload import Workload
from overmem.observe.clock import Progress
from overmem.observe.grades import sandbox_for
from overmem.observe.pace import Pace
from overmem.observe.queue import WorkQueue, clear_leases
from overmem.observe.throughput import Throughput
from overmem.observe.walk import observe
from overmem.observe.work import ObservationSetup
from overmem.probes import with_own
from overmem.records import Measurement


@dataclass(frozen=True)
class Audited:
    """What an audit did."""

    run: store.Run
    measurements: tuple[Measurement, ...]
    computed: int
    """Units of work that were done now."""
    already_done: int
    """Units of work that were skipped because they were done before."""
    failures: Mapping[str, str]
    """Checkpoint -> why it could not be observed."""

    def __repr__(self) -> str:
        """What was done, in one line, without the thousands of measurements."""
        failed = f", {len(self.failures)} checkpoints failed" if self.failures else ""
        return (
            f"Audited({str(self.run.root)!r}, {len(self.measurements)} measurements, "
            f"{self.computed} units of work done, {self.already_done} skipped because already done{failed})"
        )


def audit(
    config: Audit,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
    show: Callable[[WorkStatus], None] = lambda status: None,
    beside_training: bool = False,
) -> Audited:
    """Observe and measure every checkpoint of a run.

    The run's lock is held while the plan is written and while everything is measured. Between them the units are
    observed under leases, so that other workers may take part.

    Args:
        config: what to audit.
        say: called with a line on each thing that happens.
        progress: called with the progress, if this process observes.
        show: called with the status of all workers, if other processes observe.
        beside_training: whether `overmem train` may be running on the run.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed (before any model loads); or a
            budget that is too short (after the warm-up).
        Locked: another process writes to the run.
        WorkersEnded: all workers have ended before all units were done.
    """
    check_launch(config.workers, config.executor)
    check_until(config)
    with loading_workers(config) as fleet:
        return _audit(config, fleet, say, progress, show, beside_training=beside_training)


def _audit(
    config: Audit,
    fleet: Fleet | None,
    say: Callable[[str], None],
    progress: Progress,
    show: Callable[[WorkStatus], None],
    *,
    beside_training: bool,
) -> Audited:
    """Plan, observe, measure.

    Args:
        config: what to audit.
        fleet: workers that were started early.
        say: as of `audit`.
        progress: as of `audit`.
        show: as of `audit`.
        beside_training: as of `audit`.
    """
    whole_request = requested(config, say)
    probes = with_own(whole_request.options["probes"])
    if config.until is not None:
        whole_request = until_decided(whole_request, say=say, progress=progress)
    workload, throughput = workload_within_budget(whole_request)
    if throughput is not None:
        say(budget_sentence(workload, throughput))
    request, splits = workload.request, workload.splits
    run = request.run
    sandbox = sandbox_for((e for split in splits.values() for e in split.examples), run_code=config.run_code)
    if sandbox is not None:  # `sandbox_for` has refused the request if there is no sandbox
        say(f"programs in completions run in the sandbox {sandbox.name}, whose restrictions were tested")
    for split in splits.values():
        if split.truncated:
            total, context = len(split.examples), request.context
            say(f"{split.name}: {split.truncated} of {total} examples exceed {context} tokens, left out")
    with store.locked(run, wait=MAX_WAIT if beside_training else 0.0, beside_training=beside_training):
        publish(workload, say)
    queue = WorkQueue(run, workload.work, pace=Pace(request.decoding.repeats))
    if config.workers == 1 and config.executor == "local":
        _observe(workload, queue, throughput, say, progress)
    else:
        run_workers(launch_of(config, run), queue, config.executor, fleet=fleet, show=show)
    clear_leases(run, workload.work, queue.leases)
    failures = {ref.checkpoint.name: store.read_failure(run, ref.checkpoint.name) for ref in request.refs}
    failed = {name: reason for name, reason in failures.items() if reason is not None}
    for name, reason in failed.items():
        say(f"{name}: {reason}")
    rows = finish(run, probes, data=request.data, run_code=config.run_code, say=say, beside_training=beside_training)
    delete_looks(run)
    return Audited(run, rows, len(queue.done()), workload.already_done, failed)


def _observe(
    workload: Workload,
    queue: WorkQueue,
    throughput: Throughput | None,
    say: Callable[[str], None],
    progress: Progress,
) -> None:
    """Do the units of the queue in this process.

    Args:
        workload: the units, and the request.
        queue: the queue of the units.
        throughput: the throughput of this machine, if it was measured before.
        say: called with a line on how much work there is.
        progress: called with the progress.
    """
    request = workload.request
    config, run = request.config, request.run
    observe(
        ObservationSetup(run, request.skeleton, request.tokenizer, request.decoding, config.token_budget),
        queue,
        say=say,
        progress=progress,
        throughput=throughput,
        on_written=unit_grader(run, request.data, run_code=config.run_code),
    )
