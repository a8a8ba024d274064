"""How much of the reference solutions a checkpoint reproduces verbatim."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from overmem.probes.paired import clustered_mean, clusters_of, groups_of, shared, values_of
from overmem.probes.probe import Comparison
from overmem.probes.rows import (
    by_id,
    example_sums,
    greedy_rows,
    missing,
    row,
    samples_or_note,
    scores_or_note,
    splits_of,
)
from overmem.probes.variety import words
from overmem.records import Estimate, Measurement, Scores, Snapshot
from overmem.statistics import difference, fraction, fraction_mean, mean_difference, p_of_interval, ratio

SCORED = ("exact", "extraction_strength", "wholly_extractable")
COMPLETED = ("verbatim", "verbatim_prefix")
GAPS = ("nll_gap", "exact_gap", "extraction_strength_gap", "verbatim_prefix_gap")


def memorization(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Reproduction of the solutions under teacher forcing and in greedy completions, on every split.

    `exact`: share of solution tokens whose label is the argmax. `extraction_strength`: mean over examples of 1 - k/T,
    where k is the shortest prefix of the T tokens after which every label is the argmax. `wholly_extractable`: share of
    examples with k = 0. `verbatim`: share of greedy completions that equal the reference solution word for word;
    `verbatim_prefix`: mean share of the solution's words with which the completion begins.
    On `train`, against `val`: `nll_gap` (val minus train) and `exact_gap`, `extraction_strength_gap`,
    `verbatim_prefix_gap` (train minus val): positive means memorization rather than skill, if both have the same
    distribution.

    Source: Tirumala et al. 2022, https://arxiv.org/abs/2205.10770 (exact); Wang et al. 2024,
    https://arxiv.org/abs/2406.09179 (extraction strength); Carlini et al. 2023, https://arxiv.org/abs/2202.07646.
    """
    by_split = {split: _of_split(snapshot, split) for split in splits_of(snapshot)}
    rows = [
        row(snapshot, split, "memorization", metric, estimate)
        for split, estimates in by_split.items()
        for metric, estimate in estimates.items()
        if metric != "nll"
    ]
    train, val = by_split.get("train"), by_split.get("val")
    if train is None or val is None:
        reason = f"the split {'train' if train is None else 'val'} was not observed"
        return rows + missing(snapshot, "train", "memorization", GAPS, reason)
    for gap in GAPS:
        metric = gap.removesuffix("_gap")
        left, right = (val, train) if metric == "nll" else (train, val)
        rows.append(row(snapshot, "train", "memorization", gap, difference(left[metric], right[metric])))
    return rows


def extraction_gained(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """`extraction`: increase of the extraction strength on train, with Student's t."""
    strengths, before = (_strengths(snapshot) for snapshot in (bad, good))
    names = shared(list(strengths), list(before))
    gained, clusters = (
        values_of(strengths, names) - values_of(before, names),
        clusters_of(names, groups_of(good, "train")),
    )
    worse = mean_difference(gained) if clusters is None else clustered_mean(gained, clusters)
    yield Comparison(
        "extraction", worse, p_of_interval(worse), "it completes {} more of a training solution word for word"
    )


def _strengths(snapshot: Snapshot) -> dict[str, float]:
    scores = scores_or_note(snapshot, "train")
    if isinstance(scores, str):
        return {}
    return dict(zip(scores.example_ids, extraction_strength(scores).tolist(), strict=True))


def _of_split(snapshot: Snapshot, split: str) -> dict[str, Estimate]:
    scores = scores_or_note(snapshot, split)
    if isinstance(scores, str):
        estimates = dict.fromkeys((*SCORED, "nll"), Estimate(None, note=scores))
    else:
        order = by_id(scores.example_ids)
        tokens = scores.token_counts[order].astype(np.float64)
        strength = extraction_strength(scores)[order]
        hits = example_sums(scores, scores.is_argmax.astype(np.float64))[order]
        estimates = {
            "exact": fraction(hits, tokens),
            "extraction_strength": fraction_mean(strength),
            "wholly_extractable": fraction_mean((strength == 1).astype(np.float64)),
            "nll": ratio(scores.nll_sums[order], tokens),
        }
    verbatim = _verbatim(snapshot, split)
    if isinstance(verbatim, str):
        return estimates | dict.fromkeys(COMPLETED, Estimate(None, note=verbatim))
    is_equal, prefix, note = verbatim
    shares = {"verbatim": is_equal.astype(np.float64), "verbatim_prefix": prefix}
    return estimates | {metric: fraction_mean(values, note) for metric, values in shares.items()}


def extraction_strength(scores: Scores) -> Float[np.ndarray, " examples"]:
    """1 - k/T of each example, in stored order; k is the shortest prefix after which every label is the argmax."""
    strength = np.zeros(len(scores.example_ids))
    for i, (start, end) in enumerate(zip(scores.offsets[:-1], scores.offsets[1:], strict=True)):
        missed = np.flatnonzero(~scores.is_argmax[start:end].astype(bool))
        prefix = int(missed[-1]) + 1 if len(missed) else 0
        strength[i] = 1 - prefix / (end - start) if end > start else 0.0
    return strength


def _verbatim(
    snapshot: Snapshot, split: str
) -> tuple[Bool[np.ndarray, " examples"], Float[np.ndarray, " examples"], str] | str:
    """Whether each greedy completion equals the solution, the share of the solution that it begins with, and a note."""
    samples = samples_or_note(snapshot, split)
    if isinstance(samples, str):
        return samples
    solutions = {e.id: words(e.solution) for e in snapshot.examples.get(split, ())}
    is_equal, prefix, truncated = [], [], 0
    for name, i in greedy_rows(samples).items():
        if not solutions.get(name):
            continue
        solution, text = solutions[name], words(samples.text[i])
        same = [a == b for a, b in zip(solution, text, strict=False)]
        length = same.index(False) if False in same else len(same)
        if samples.stop[i] == "length" and length == len(text) < len(solution):
            truncated += 1  # whether the rest would be the same was not observed
            continue
        is_equal.append(solution == text)
        prefix.append(length / len(solution))
    if not is_equal:
        return "no greedy completion of an example whose solution was kept"
    note = f"{truncated} left out: word for word up to the length limit" if truncated else ""
    return np.array(is_equal), np.array(prefix, dtype=np.float64), note
