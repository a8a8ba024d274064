"""The evidence on a run that was audited."""

from collections.abc import Callable

import numpy as np

from overmem import store
from overmem.diagnose.options import Diagnose
from overmem.errors import BadRequest
from overmem.probes import with_own
from overmem.probes.consequences import consequences
from overmem.records import Consequence
from overmem.records.searches import SEARCHED
from overmem.verdict.evidence import Evidence
from overmem.wording.caveats import AuditContext


def audited(run: store.Run, config: Diagnose) -> tuple[Evidence, AuditContext]:
    """The evidence of an audited run, and how it was audited.

    Raises:
        BadRequest: draws were requested and none were sampled.
    """
    plan = store.read_plan(run)
    splits = list(plan.splits)
    selected_on = "val" if "val" in splits else "test"
    draws = config.accuracy == "draws"

    merged_val = store.read_curves(run, selected_on, merged=True, draws=draws)
    val = merged_val.without_merged
    if draws and not np.isfinite(val.correct).any():
        raise BadRequest(
            f"--accuracy draws, but no completion of {selected_on} was sampled besides the greedy one; allowed: "
            "greedy, or audit with --draws 8 first"
        )
    has_test = selected_on == "val" and "test" in splits
    merged_test = store.read_curves(run, "test", merged=True, draws=draws) if has_test else None
    has_merge = any(c.merged_from and (run.root / c.name).is_dir() for c in plan.checkpoints)
    on_disk = {c.name for c in plan.checkpoints if (run.root / c.name).is_dir() or run.holds_itself(c.name)}
    is_elsewhere = not on_disk and bool(plan.options.get("imported"))  # logs were imported without the weights
    evidence = Evidence(
        val=val,
        test=None if merged_test is None else merged_test.without_merged,
        train=store.read_curves(run, "train") if "train" in splits else None,
        merged_val=merged_val if has_merge else None,
        merged_test=merged_test if has_merge else None,
        on_disk=None if is_elsewhere else on_disk,
        searched={c.name for c in plan.checkpoints if c.merged_from and c.name.startswith(SEARCHED)},
        trainers_choice=store.read_trainers_choice(run),
        same_distribution=config.same_distribution,
        consequences=_consequences(run, config.alpha),
    )
    rows = store.read_measurements(run) if run.measurements_path.is_file() else []
    context = AuditContext(
        selected_on=selected_on,
        not_on_disk=[] if is_elsewhere else [c.name for c in val.checkpoints if c.step > 0 and c.name not in on_disk],
        carved_splits=plan.carved_splits,
        truncated=[m for m in rows if m.metric == "cut_off" and m.split == selected_on],
        max_new_tokens=plan.decoding.get("max_new_tokens"),
        stopping=plan.stopping if selected_on == "val" else None,
    )
    return evidence, context


def _consequences(run: store.Run, alpha: float) -> Callable[[str, str, float], tuple[Consequence, ...]]:
    """What the second of two checkpoints does worse than the first."""

    def measured(reference: str, checkpoint: str, luck: float) -> tuple[Consequence, ...]:
        named = {c.name: c for c in store.read_checkpoints(run)}
        base = next((c for c in named.values() if c.step == 0), None)
        good, bad = (store.read_snapshot(run, named[name]) for name in (reference, checkpoint))
        return consequences(
            good,
            bad,
            base=None if base is None else store.read_snapshot(run, base),
            alpha=alpha,
            luck=luck,
            probes=with_own(store.read_plan(run).options.get("probes", ())),
        )

    return measured
