"""The verb: observe every unit that is not current, grade the completions, and measure everything."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import psutil

from overmem import store
from overmem.audit.estimate import budget_sentence
from overmem.audit.options import Audit
from overmem.audit.plan import workload_within_budget
from overmem.audit.previous_plan import with_previous_plan
from overmem.audit.request import requested
from overmem.observe.grades import update_grades, wall_for
from overmem.observe.imported import adopt_imported
from overmem.observe.plan import plan_of
from overmem.observe.token_texts import token_texts
from overmem.observe.work import ObservationSetup, Progress, WorkUnit, observe
from overmem.probes import with_own
from overmem.probes.measure import measured
from overmem.probes.probe import Probe
from overmem.records import Checkpoint, Measurement, Snapshot
from overmem.tasks import functions_of

_CACHE_SHARE = 0.25
"""Share of the free memory that observations may take, so that probes read each file once."""


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
        """What was done, in a line: the measurements are thousands."""
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
) -> Audited:
    """Observe and measure every checkpoint of a run.

    Args:
        config: what to audit.
        say: called with a line on what happens.
        progress: called with how far the work is.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed: before any model loads. A budget
            that is too short: after the warm-up.
        Locked: another process writes to the run.
    """
    whole_request = requested(config, say)
    probes = with_own(whole_request.options["probes"])
    workload, throughput = workload_within_budget(whole_request)
    if throughput is not None:
        say(budget_sentence(workload, throughput))
    request, splits, failures = workload.request, workload.splits, workload.failures
    run = request.run
    wall_for((e for split in splits.values() for e in split.examples), run_code=config.run_code)  # refused before work
    for split in splits.values():
        if split.truncated:
            total, context = len(split.examples), request.context
            say(f"{split.name}: {split.truncated} of {total} examples exceed {context} tokens, left out")
    with store.locked(run):
        for split in splits.values():
            if request.data is not None or split.name not in request.held_out:  # else the run has the only copy
                store.write_examples(run, split.name, split.examples)
        seen = {token for split in splits.values() for e in split.encoded for token in e.solution_ids}
        store.write_token_texts(run, store.read_token_texts(run) | token_texts(request.tokenizer, seen))
        plan = plan_of(
            asdict(config) | dict(request.options),
            request.data,
            request.decoding,
            request.template,
            request.base,
            [ref.checkpoint for ref in request.refs],
            splits,
            request.carved_splits,
        )
        before = () if request.previous_plan is None else request.previous_plan.checkpoints
        if adopted := adopt_imported(run, before, request.refs, splits, request.skeleton.base):
            say(f"completions of {adopted} units are those that were imported")
        store.write_plan(run, with_previous_plan(run, plan, request.previous_plan, request.skeleton.base))
        grading = partial(
            update_grades,
            run,
            trusted=functions_of(request.data) if request.data else (),
            run_code=config.run_code,
        )

        def grade_unit(unit: WorkUnit) -> None:  # at once: an audit that is stopped leaves units that can be measured
            if "samples" in unit.kinds:
                grading([unit.checkpoint], {unit.split.name: unit.split.request}, say=lambda line: None)

        computed = observe(
            ObservationSetup(run, request.skeleton, request.tokenizer, request.decoding, config.token_budget),
            workload.work,
            failures=failures,
            say=say,
            progress=progress,
            throughput=throughput,
            on_written=grade_unit,
        )
        for name, reason in failures.items():
            say(f"{name}: {reason}")
        names = [checkpoint.name for checkpoint in store.read_checkpoints(run)]
        grading(names, store.read_plan(run).requests, say=say)
        rows = _measurements(run, probes, say)
        store.write_measurements(run, rows)
    return Audited(run, rows, computed, workload.already_done, failures)


def _measurements(run: store.Run, probes: Mapping[str, Probe], say: Callable[[str], None]) -> tuple[Measurement, ...]:
    """Every measurement of the run. Damaged files are measured as missing and then deleted."""
    read = store.snapshot_reader(run, cache_bytes=int(_CACHE_SHARE * psutil.virtual_memory().available))
    notes: dict[str, Mapping[tuple[str, str], str]] = {}

    def read_noting(checkpoint: Checkpoint) -> Snapshot:
        snapshot = read(checkpoint)
        notes[checkpoint.name] = snapshot.notes
        return snapshot

    rows = tuple(measured(store.read_checkpoints(run), read_noting, probes))
    for checkpoint in notes:
        for file in store.drop_damaged_units(run, checkpoint, notes[checkpoint]):
            say(f"{checkpoint}: {file} was damaged and is deleted; the next audit makes it again")
    return rows
