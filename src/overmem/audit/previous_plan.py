"""Keeps those splits and checkpoints of a run's previous plan that are not requested now but still valid."""

from collections.abc import Mapping
from dataclasses import replace

from overmem import store
from overmem.errors import BadCheckpoint
from overmem.models.files import fingerprint
from overmem.records import Plan
from overmem.store.plan import time_order


def with_previous_plan(run: store.Run, plan: Plan, previous: Plan | None, base: str | None) -> Plan:
    """The plan, with the comparable splits and checkpoints of the previous one added.

    A split is comparable if its decoding, template and precision are those of the plan. A checkpoint is kept if one of
    its units is current: its folder may have been deleted, but its observations are part of the trajectory.

    Args:
        run: the run.
        plan: what is requested now.
        previous: the run's previous plan of the same data; None if there is none.
        base: folder or hub id of the model that adapters change.
    """
    if previous is None:
        return plan
    same_request = (previous.decoding, previous.template, previous.options.get("dtype")) == (
        plan.decoding,
        plan.template,
        plan.options.get("dtype"),
    )
    kept_splits = {name: split for name, split in previous.splits.items() if same_request or name in plan.splits}
    splits = {**kept_splits, **plan.splits}
    requests = {name: split.request for name, split in splits.items()}
    planned = {checkpoint.name for checkpoint in plan.checkpoints}
    kept = [c for c in previous.checkpoints if c.name not in planned and _has_current_unit(run, c.name, requests, base)]
    return replace(plan, splits=splits, checkpoints=tuple(sorted([*plan.checkpoints, *kept], key=time_order)))


def _has_current_unit(run: store.Run, name: str, requests: Mapping[str, str], base: str | None) -> bool:
    folder = run.root / name
    try:
        weights = fingerprint(str(folder), base) if folder.is_dir() else None
    except BadCheckpoint:
        weights = None  # its weights cannot be read: treated like a deleted checkpoint
    return any(
        store.is_unit_current(run, name, split, kind, weights=weights, request=request)
        for split, request in requests.items()
        for kind in ("scores", "samples")
    )
