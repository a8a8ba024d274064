"""The callback's files in the run directory: written where an audit reads them, read when training is resumed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from overmem import store
from overmem.callback.config import CallbackConfig
from overmem.callback.evaluation_set import EvaluationSet
from overmem.errors import BadCheckpoint
from overmem.grading import graders_of
from overmem.models.discovery import find_checkpoints
from overmem.models.files import fingerprint
from overmem.observe.plan import plan_of
from overmem.observe.shown import shown_example
from overmem.records import SCHEMA, Checkpoint, Choice, Snapshot
from overmem.records.plan import CALLBACK


def write_plan(
    run: store.Run, config: CallbackConfig, evaluation: EvaluationSet, checkpoints: Sequence[Checkpoint]
) -> None:
    """Write the examples and the plan, as an audit does.

    Args:
        run: the run of the training.
        config: the callback's options.
        evaluation: the examples.
        checkpoints: the checkpoints measured so far.
    """
    options = {
        "by": CALLBACK,
        "rows": config.rows,
        "side_rows": config.side_rows,
        "max_new_tokens": evaluation.decoding.max_new_tokens,
        "template": evaluation.template,
        "dtype": evaluation.dtype,
    }
    for split in evaluation.splits.values():
        store.write_examples(run, split.name, split.examples)
    plan = plan_of(
        options,
        evaluation.data,
        evaluation.decoding,
        evaluation.template,
        evaluation.base,
        checkpoints,
        evaluation.splits,
        evaluation.carved_splits,
    )
    store.write_plan(run, plan)
    val = evaluation.splits["val"]
    shown = shown_example(
        evaluation.tokenizer, val, rows=evaluation.rows.get("val", len(val.examples)), by_recipe=False
    )
    if shown is not None:
        store.write_shown(run, shown)


def write_units(run: store.Run, snapshot: Snapshot, weights: str, evaluation: EvaluationSet) -> None:
    """Write the complete units of work, under the fingerprint of the checkpoint's weights.

    Files of other weights under the same checkpoint name are removed first.

    Args:
        run: the run of the training.
        snapshot: the measurement.
        weights: the fingerprint.
        evaluation: the examples.
    """
    name = snapshot.checkpoint.name
    store.drop_other_weights(run, name, weights)
    store.clear_failure(run, name)
    for split in evaluation.splits.values():
        keys = {"weights": weights, "request": split.request}
        scores, samples = snapshot.scores.get(split.name), snapshot.samples.get(split.name)
        if scores is not None and len(scores.example_ids) == len(split.encoded):
            store.write_scores(run, name, split.name, scores, **keys)
        if samples is not None and len(samples.example_ids) == len(split.encoded):
            store.write_samples(run, name, split.name, samples, **keys, grader=graders_of(split.examples))


def is_base_measured(run: store.Run, evaluation: EvaluationSet, *, answers: bool) -> bool:
    """Whether all observations of the base model exist, made with the same options."""
    units = [(split, "scores") for split in evaluation.splits.values()]
    units += [(evaluation.splits["val"], "samples")] if answers else []
    try:
        weights = fingerprint(evaluation.base or "")
    except BadCheckpoint:
        return False
    return all(store.is_unit_current(run, "base", s.name, k, weights=weights, request=s.request) for s, k in units)


def earlier_snapshots(run: store.Run, evaluation: EvaluationSet, step: int, *, answers: bool) -> list[Snapshot]:
    """The observations of the base and of the checkpoints up to `step`, in time order, made with the same options.

    Checkpoints that the trainer has deleted are included, because their observations are still valid.
    """
    if not run.plan_path.is_file():
        return []
    requests = store.read_plan(run).requests
    if any(requests.get(name) != split.request for name, split in evaluation.splits.items()):
        return []
    snapshots = []
    for checkpoint in store.read_checkpoints(run):
        if checkpoint.step <= step and not checkpoint.merged_from:
            snapshot = store.read_snapshot(run, checkpoint)
            if evaluation.splits.keys() <= snapshot.scores.keys() and ("val" in snapshot.samples or not answers):
                snapshots.append(snapshot)
    return snapshots


def checkpoint_on_disk(run: store.Run, name: str) -> Checkpoint:
    """A checkpoint on disk with its step, epoch and cumulative learning rate."""
    return next(ref.checkpoint for ref in find_checkpoints(run.root) if ref.checkpoint.name == name)


def keep(run: store.Run, choice: Choice, step: int, *, is_recommended: bool) -> None:
    """Name the best checkpoint so far in `recommended.json`, and protect its files from `save_total_limit`.

    The files are hard-linked, which takes no space until the trainer deletes its own, or copied if links are not
    supported.

    Args:
        run: the run of the training.
        choice: the best checkpoint so far.
        step: step of the newest checkpoint.
        is_recommended: whether the best checkpoint is worth shipping; it is kept in either case.
    """
    kept = run.kept_path / str(choice.checkpoint)
    if not kept.is_dir():
        partial = run.kept_path / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run.root / kept.name, partial, copy_function=_link_or_copy)
        partial.rename(kept)
    for other in run.kept_path.iterdir():
        if other != kept:
            shutil.rmtree(other)
    header = {"schema": SCHEMA, "as_of_step": step, "is_recommended": is_recommended}
    store.write_json(run.recommended_path, header | store.to_jsonable(choice))


def _link_or_copy(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def restore_kept(run: store.Run) -> None:
    """Move the kept checkpoint back to its place if the trainer has deleted it."""
    for kept in run.kept_path.glob("checkpoint-*"):
        if not (run.root / kept.name).is_dir():
            kept.rename(run.root / kept.name)
    shutil.rmtree(run.kept_path, ignore_errors=True)
