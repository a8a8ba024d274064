"""The evidence on a run: read from its audit, or from the curve that its trainer logged."""

from collections.abc import Callable

import numpy as np

from overmem import store
from overmem.diagnose.options import Diagnose
from overmem.errors import BadRequest
from overmem.probes.consequences import consequences
from overmem.records import Consequence, Curves
from overmem.store.logs import Logged
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.logged_quantities import ENOUGH
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


def logged_evidence(run: store.Run, logged: Logged, config: Diagnose) -> Evidence:
    """The evidence of a run that nobody audited."""
    on_disk = {c.name for c in logged.checkpoints if (run.root / c.name).is_dir()} or None
    curve = LoggedCurve(logged.checkpoints, logged.nll, logged.accuracy, config.eval_rows)
    return Evidence(val=curve, on_disk=on_disk, same_distribution=config.same_distribution)


def logged_warnings(logged: Logged, evidence: Evidence, config: Diagnose) -> tuple[str, ...]:
    """What is missing where only a curve is known."""
    warnings = [
        f"Judged from {logged.source.name} alone: no example was seen, so noise is read off the scatter of the curve, "
        "no cost is measured, and nothing is confirmed on other examples. `overmem audit` sees more."
    ]
    if not np.isfinite(logged.accuracy).any():
        warnings.append(
            "No answer accuracy was logged, and perplexity alone cannot tell over-memorization from over-fitting, so "
            "no checkpoint is recommended."
        )
    elif config.eval_rows is None and len(logged.checkpoints) < ENOUGH:
        warnings.append("Too few evaluations to see their noise; give --eval-rows, the examples behind the accuracy.")
    if evidence.on_disk is None:
        warnings.append("There is no checkpoint folder next to the log; steps are named as if there were one.")
    return (*logged.warnings, *warnings)
