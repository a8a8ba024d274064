"""The evidence on a run that was audited."""

from collections.abc import Callable

import numpy as np

from overmem import store
from overmem.diagnose.options import Diagnose
from overmem.errors import BadRequest
from overmem.probes.consequences import consequences
from overmem.records import Consequence, Curves
from overmem.verdict.evidence import Evidence
from overmem.wording.caveats import AuditContext


def audited(run: store.Run, config: Diagnose) -> tuple[Evidence, AuditContext]:
    """The evidence of an audited run, and how it was audited.

    Raises:
        BadRequest: draws were asked for and none were taken.
    """
    plan = store.read_plan(run)
    splits = list(plan["splits"])
    selected_on = "val" if "val" in splits else "test"
    draws = config.accuracy == "draws"

    def curves(split: str, *, merged: bool = False) -> Curves | None:
        if split not in splits:
            return None
        return store.read_curves(run, split, merged=merged, draws=draws)

    val = store.read_curves(run, selected_on, draws=draws)
    if draws and not np.isfinite(val.correct).any():
        raise BadRequest(
            f"--accuracy draws, but no completion of {selected_on} was sampled besides the greedy one; allowed: "
            "greedy, or audit with --draws 8 first"
        )
    confirmed_on = "test" if selected_on == "val" else ""
    has_merge = any(c.merged_from and (run.root / c.name).is_dir() for c in store.read_checkpoints(run))
    on_disk = {c.name for c in val.checkpoints if (run.root / c.name).is_dir()}
    evidence = Evidence(
        val=val,
        test=curves(confirmed_on),
        train=store.read_curves(run, "train") if "train" in splits else None,
        merged_val=curves(selected_on, merged=True) if has_merge else None,
        merged_test=curves(confirmed_on, merged=True) if has_merge else None,
        on_disk=on_disk,
        same_distribution=config.same_distribution,
        consequences=_consequences(run, config.alpha),
    )
    rows = store.read_measurements(run) if run.measurements_path.is_file() else []
    context = AuditContext(
        selected_on=selected_on,
        not_on_disk=[c.name for c in val.checkpoints if c.step > 0 and c.name not in on_disk],
        carved_splits=plan.get("cut", ()),
        truncated=[m for m in rows if m.metric == "cut_off" and m.split == selected_on],
        max_new_tokens=plan.get("decoding", {}).get("max_new_tokens"),
    )
    return evidence, context


def _consequences(run: store.Run, alpha: float) -> Callable[[str, str], tuple[Consequence, ...]]:
    """What the second of two checkpoints does worse than the first."""

    def measured(reference: str, checkpoint: str) -> tuple[Consequence, ...]:
        named = {c.name: c for c in store.read_checkpoints(run)}
        base = next((c for c in named.values() if c.step == 0), None)
        good, bad = (store.read_snapshot(run, named[name]) for name in (reference, checkpoint))
        return consequences(good, bad, base=None if base is None else store.read_snapshot(run, base), alpha=alpha)

    return measured
