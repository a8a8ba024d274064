"""What a run was audited for before and is not asked for now, but still stands: it stays in the plan."""

from collections.abc import Mapping
from typing import Any

from overmem import store
from overmem.errors import BadCheckpoint
from overmem.models.files import fingerprint


def with_previous_plan(
    run: store.Run, plan: Mapping[str, Any], before: Mapping[str, Any], base: str | None
) -> dict[str, Any]:
    """The plan, with the splits and checkpoints of the one before it that go with it.

    A split goes with it if it was completed and rendered as the others are now. A checkpoint does if one of its units
    stands: it may have been deleted since, and what was observed of it is part of the trajectory all the same.

    Args:
        run: the run.
        plan: what is asked for now.
        before: the plan of the same data that stands in the run; empty for none.
        base: folder or hub id of the model that adapters change.
    """
    now: dict[str, Any] = store.to_jsonable(plan)
    if not before:
        return now
    alike = all(before.get(key) == now[key] for key in ("decoding", "template"))
    alike = alike and before["audit"].get("dtype") == now["audit"]["dtype"]
    splits = {name: split for name, split in before["splits"].items() if alike or name in now["splits"]}
    splits |= now["splits"]
    asked = {one["name"] for one in now["checkpoints"]}
    kept = [
        one for one in before["checkpoints"] if one["name"] not in asked and _stands(run, one["name"], splits, base)
    ]
    checkpoints = sorted(
        [*now["checkpoints"], *kept],
        key=lambda one: (True, 0, one["name"]) if one["merged_from"] else (False, one["step"], ""),
    )
    return {**now, "splits": splits, "checkpoints": checkpoints}


def _stands(run: store.Run, name: str, splits: Mapping[str, Any], base: str | None) -> bool:
    folder = run.root / name
    try:
        weights = fingerprint(str(folder), base) if folder.is_dir() else None
    except BadCheckpoint:
        weights = None  # without its weights it is as good as gone
    return any(
        store.is_unit_current(run, name, split, kind, weights=weights, request=asked["request"])
        for split, asked in splits.items()
        for kind in ("scores", "samples")
    )
