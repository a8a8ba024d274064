"""What a callback leaves in the run directory, so that an audit finds it, and what it finds there when it begins."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from overmem import store
from overmem.callback.watch import CallbackConfig, EvaluationSet
from overmem.errors import BadCheckpoint
from overmem.grading import graders_of
from overmem.models.discovery import find_checkpoints
from overmem.models.files import fingerprint
from overmem.observe.plan import plan_of
from overmem.records import SCHEMA, Checkpoint, Choice, Snapshot


def write_plan(run: store.Run, watch: CallbackConfig, plan: EvaluationSet, checkpoints: Sequence[Checkpoint]) -> None:
    """Write the examples and what was asked of them, as an audit does."""
    asked = {
        "rows": watch.rows,
        "side_rows": watch.side_rows,
        "max_new_tokens": plan.decoding.max_new_tokens,
        "template": watch.template,
        "dtype": plan.dtype,
    }
    for split in plan.splits.values():
        store.write_examples(run, split.name, split.examples)
    written = plan_of(asked, plan.data, plan.decoding, watch.template, plan.base, checkpoints, plan.splits, plan.cut)
    store.write_plan(run, written)


def write_units(run: store.Run, snapshot: Snapshot, weights: str, plan: EvaluationSet) -> None:
    """Write the units of work that are whole, under the fingerprint of the checkpoint's weights.

    What stands there of other weights goes: nobody could tell it from what is of these.
    """
    name = snapshot.checkpoint.name
    store.drop_other_weights(run, name, weights)
    for split in plan.splits.values():
        asked = {"weights": weights, "request": split.request}
        scores, samples = snapshot.scores.get(split.name), snapshot.samples.get(split.name)
        if scores is not None and len(scores.example_ids) == len(split.encoded):
            store.write_scores(run, name, split.name, scores, **asked)
        if samples is not None and len(samples.example_ids) == len(split.encoded):
            store.write_samples(run, name, split.name, samples, **asked, grader=graders_of(split.examples))


def base_stands(run: store.Run, plan: EvaluationSet, *, answers: bool) -> bool:
    """Whether the base model was measured before, in full and as it is asked now."""
    units = [(split, "scores") for split in plan.splits.values()]
    units += [(plan.splits["val"], "samples")] if answers else []
    try:
        weights = fingerprint(plan.base or "")
    except BadCheckpoint:
        return False
    return all(store.is_unit_current(run, "base", s.name, k, weights=weights, request=s.request) for s, k in units)


def earlier(run: store.Run, plan: EvaluationSet, step: int, *, answers: bool) -> list[Snapshot]:
    """What was observed of the base and of the checkpoints up to `step`, in time order, if it was asked as it is now.

    Checkpoints that the trainer has deleted since are among them: their observations stand.
    """
    if not run.plan_path.is_file():
        return []
    requests = store.read_plan(run).requests
    if any(requests.get(name) != split.request for name, split in plan.splits.items()):
        return []
    found = []
    for checkpoint in store.read_checkpoints(run):
        if checkpoint.step <= step and not checkpoint.merged_from:
            snapshot = store.read_snapshot(run, checkpoint)
            if plan.splits.keys() <= snapshot.scores.keys() and ("val" in snapshot.samples or not answers):
                found.append(snapshot)
    return found


def placed(run: store.Run, name: str) -> Checkpoint:
    """A checkpoint on disk, where it stands in time."""
    return next(one.checkpoint for one in find_checkpoints(run.root) if one.checkpoint.name == name)


def keep(run: store.Run, choice: Choice, step: int) -> None:
    """Name the checkpoint to ship in `recommended.json`, and keep its files from the trainer's rotation.

    The files are linked, which takes no room until the trainer deletes its own; where links are not to be had, copied.
    """
    kept = run.kept_path / str(choice.checkpoint)
    if not kept.is_dir():
        partial = run.kept_path / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run.root / kept.name, partial, copy_function=_linked)
        partial.rename(kept)
    for other in run.kept_path.iterdir():
        if other != kept:
            shutil.rmtree(other)
    store.write_json(run.recommended_path, {"schema": SCHEMA, "as_of_step": step, **store.to_jsonable(choice)})


def _linked(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def put_back(run: store.Run) -> None:
    """Where the trainer has deleted the kept checkpoint, put it back in its place."""
    for kept in run.kept_path.glob("checkpoint-*"):
        if not (run.root / kept.name).is_dir():
            kept.rename(run.root / kept.name)
    shutil.rmtree(run.kept_path, ignore_errors=True)
