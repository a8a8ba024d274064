"""The verb: observe what does not stand yet, and measure all of it."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from overmem import store
from overmem.audit.estimate import budget_sentence
from overmem.audit.options import Audit
from overmem.audit.plan import workload_within_budget
from overmem.audit.previous_plan import with_previous_plan
from overmem.audit.request import requested
from overmem.observe.grades import update_grades
from overmem.observe.plan import plan_of
from overmem.observe.token_texts import token_texts
from overmem.observe.work import Progress, observe
from overmem.probes import with_own
from overmem.probes.measure import measured
from overmem.records import Measurement
from overmem.tasks import functions_of


@dataclass(frozen=True)
class Audited:
    """What an audit did."""

    run: store.Run
    measurements: tuple[Measurement, ...]
    computed: int
    """Units of work done now."""
    standing: int
    """Units of work that stood already."""
    failures: Mapping[str, str]
    """Checkpoint -> why it could not be observed."""

    def __repr__(self) -> str:
        """What was done, in a line: the measurements are thousands."""
        failed = f", {len(self.failures)} checkpoints failed" if self.failures else ""
        return (
            f"Audited({str(self.run.root)!r}, {len(self.measurements)} measurements, "
            f"{self.computed} units of work done, {self.standing} skipped because already done{failed})"
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
        say: told in words what happens.
        progress: told how far the work is.

    Raises:
        BadRequest: no run, no checkpoints, no data, or an option that is not allowed: before any model loads. A budget
            that is too short: after the warm-up.
        Locked: another process writes to the run.
    """
    requested_audit = requested(config, say)
    probes = with_own(requested_audit.options["probes"])
    workload, throughput = workload_within_budget(requested_audit)
    if throughput is not None:
        say(budget_sentence(workload, throughput))
    request, splits, failures = workload.request, workload.splits, workload.failures
    run = request.run
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
            [one.checkpoint for one in request.found],
            splits,
            request.carved_splits,
        )
        store.write_plan(run, with_previous_plan(run, plan, request.previous_plan, request.skeleton.base))
        computed = observe(
            run,
            workload.work,
            request.skeleton,
            request.tokenizer,
            request.decoding,
            token_budget=config.token_budget,
            failures=failures,
            say=say,
            progress=progress,
            throughput=throughput,
        )
        for name, reason in failures.items():
            say(f"{name}: {reason}")
        update_grades(
            run,
            [checkpoint.name for checkpoint in store.read_checkpoints(run)],
            store.read_plan(run).requests,
            trusted=functions_of(request.data) if request.data else (),
            say=say,
            run_code=config.run_code,
        )
        rows = tuple(measured(store.read_checkpoints(run), store.snapshot_reader(run), probes))
        store.write_measurements(run, rows)
    return Audited(run, rows, computed, workload.standing, failures)
