"""Messages on a log without an evaluation, or without an accuracy of answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from overmem.store.logs.curves import LogCurves
from overmem.store.logs.evaluations import Timeline
from overmem.store.logs.files import printable
from overmem.store.logs.metrics import EPOCHS, RATES, STEPS, fold, metric_of

MAX_LISTED = 30
"""Number of names in a message at most."""
_TRAINING_METRICS = {
    *(*STEPS, *RATES, *EPOCHS),
    *("loss", "train_loss", "training_loss", "grad_norm", "total_flos", "percentage", "total_steps", "num_tokens"),
    *("num_input_tokens_seen", "train_runtime", "memory", "elapsed_time", "remaining_time"),
}
"""Names that trainers log for training batches only."""
_COUNTS = ("_per_second", "_runtime", "_flos", "_timestamp")


def no_curves_message(root: Path, unusable: Sequence[str], logged: Mapping[str, str], notes: Sequence[str]) -> str:
    """What is missing and what to do, if no evaluation was logged.

    Args:
        root: the folder or file that was read.
        unusable: names of the files that were read and have no evaluation.
        logged: everything that they logged.
        notes: remarks on how they were read.
    """
    text = f"no learning curves in {printable(root)}: "
    if not logged:
        unusable = [name for name in unusable if not name.endswith(".md")]  # few pages have a table of results
    files = ", ".join(dict.fromkeys(unusable))
    names = sorted(name for name in logged if _may_be_a_metric(name))
    if names:
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        text += (
            f"no evaluation (eval_loss or an accuracy) in {files or 'its logs'}, only {', '.join(names[:MAX_LISTED])}"
            f"{more}. If one of these is an evaluation, name it: --nll-metric NAME or --accuracy-metric NAME. "
        )
    elif logged:
        text += (
            f"no evaluation (eval_loss or an accuracy) in {files or 'its logs'}, only metrics of the training "
            f"batches ({', '.join(sorted(logged)[:MAX_LISTED])}): the trainer ran without evaluations. "
        )
    elif files:
        text += f"no evaluation in {files}: it holds no entries. "
    else:
        text += (
            "expected trainer_state.json, trainer_log.jsonl, logging.jsonl, a CSV or model-card table with step and "
            "eval_loss, TensorBoard event files, or a text log of torchtune, nanoGPT or mlx-lm. "
        )
    text += f"To measure the checkpoints themselves: overmem audit {printable(root)} --data YOUR_DATA"
    return text + (f" ({' '.join(notes)})" if notes else "")


def _may_be_a_metric(name: str) -> bool:
    return metric_of(name) is not None and fold(name) not in _TRAINING_METRICS and not fold(name).endswith(_COUNTS)


def unrecognized_metrics(main: LogCurves, timeline: Timeline, others: Sequence[LogCurves]) -> list[str]:
    """A question about the logged metrics that may be the accuracy of answers, if none was recognized."""
    if np.isfinite(main.accuracy).any():
        return []
    unknown = sorted(key for key, recognized in timeline.logged.items() if not recognized and _may_be_accuracy(key))
    of_other_sets = sorted(c.metric for c in others if c.metric and not np.isfinite(c.nll).any())
    names = [*of_other_sets, *unknown]
    if not names:
        return []
    return [
        f"Is one of these what answers are judged by: {', '.join(names[:10])}? Then name it: --accuracy-metric (with "
        "--lower-is-better for an error whose name does not say so)."
    ]


def _may_be_accuracy(name: str) -> bool:
    words = (
        "accuracy",
        "exact",
        "correct",
        "solved",
        "pass@",
        "reward",
        "score",
        "win",
        "error",
        "precision",
        "recall",
    )
    if "token" in name.lower() or name.lower().startswith("train"):
        return False
    return {"acc", "auc", "map", "iou", "mer", "f1"} & set(fold(name).split("_")) != set() or any(
        word in name.lower() for word in words
    )
