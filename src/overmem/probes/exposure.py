"""Exposure of training examples over training: how much their nll varies between checkpoints."""

from collections.abc import Mapping, Sequence

import numpy as np

from overmem.probes.membership import EXPOSED, RATES, separation, unranked
from overmem.probes.rows import missing, row, scores_or_note
from overmem.records import Estimate, Measurement, Scores, Snapshot

METRICS = ("lt_iqr_auroc", *(f"lt_iqr_{rate}" for rate in RATES), "lt_iqr_median")


def exposure(snapshots: Sequence[Snapshot], *, whole: bool = False) -> list[Measurement]:
    """LT-IQR: the interquartile range of each example's nll per token over these checkpoints, in time order.

    Rows are of the last checkpoint and the split `train`. `lt_iqr_auroc`, `lt_iqr_tpr@1%`, `lt_iqr_tpr@0.1%`: how well
    the range separates `train` from `val`. `lt_iqr_median`: over the training examples. `lt_iqr_exposed`, by rank: the
    training examples with the largest range. With `whole` also `lt_iqr` of every training example. Examples that were
    not scored at every checkpoint are left out.

    Source: https://arxiv.org/abs/2411.05743.
    """
    last = snapshots[-1]
    train, val = ranges(snapshots, "train"), ranges(snapshots, "val")
    if not train:
        reason = _why_missing(snapshots)
        return missing(last, "train", "membership", METRICS, reason) + unranked(last, "lt_iqr_exposed", reason)
    over = f"over {sum(_scored(s, 'train') is not None for s in snapshots)} checkpoints"
    rows = []
    if min(len(train), len(val)) >= 2:
        rows += separation(last, "lt_iqr", np.array([*train.values()]), np.array([*val.values()]))
    else:
        rows += missing(last, "train", "membership", METRICS[:-1], "fewer than two members or non-members")
    median = Estimate(float(np.median([*train.values()])), n=len(train), note=over)
    rows.append(row(last, "train", "membership", "lt_iqr_median", median))
    ranked = sorted(train.items(), key=lambda item: (-item[1], item[0]))
    for rank, (name, value) in enumerate(ranked[:EXPOSED], 1):
        estimate = Estimate(value, n=1, note=over)
        rows.append(row(last, "train", "membership", "lt_iqr_exposed", estimate, rank=rank, example=name))
    for name, value in train.items() if whole else ():
        rows.append(row(last, "train", "membership", "lt_iqr", Estimate(value, n=1, note=over), example=name))
    return rows


def ranges(snapshots: Sequence[Snapshot], split: str) -> dict[str, float]:
    """Example id -> its interquartile range of nll per token, in order of ids; empty without two scored checkpoints."""
    tables = [t for t in (_scored(snapshot, split) for snapshot in snapshots) if t is not None]
    if len(tables) < 2:
        return {}
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    values = np.array([[table[name] for name in shared] for table in tables], dtype=np.float64)
    upper, lower = np.quantile(values, [0.75, 0.25], axis=0)
    return dict(zip(shared, (upper - lower).tolist(), strict=True))


def _scored(snapshot: Snapshot, split: str) -> Mapping[str, float] | None:
    scores = scores_or_note(snapshot, split)
    if not isinstance(scores, Scores):
        return None
    per_token = scores.nll_sums / np.maximum(scores.token_counts, 1)
    return {n: float(x) for n, x in zip(scores.example_ids, per_token, strict=True) if np.isfinite(x)}


def _why_missing(snapshots: Sequence[Snapshot]) -> str:
    scores = [scores_or_note(snapshot, "train") for snapshot in snapshots]
    if isinstance(scores[-1], str):
        return scores[-1]
    scored = sum(not isinstance(each, str) for each in scores)
    if scored < 2:
        return f"train was scored at {scored} checkpoint so far; a range needs two"
    return "no example was scored at every checkpoint"
