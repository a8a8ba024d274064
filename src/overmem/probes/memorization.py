"""How much of the reference solutions a checkpoint knows by heart."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from overmem.probes.paired import shared, values_of
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
WRITTEN = ("verbatim", "verbatim_prefix")
GAPS = ("nll_gap", "exact_gap", "extraction_strength_gap", "verbatim_prefix_gap")


def memorization(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Solutions reproduced token by token, by teacher forcing and by greedy writing, on every split.

    `exact`: share of solution tokens where the argmax is the label. `extraction_strength`: mean over examples of
    1 - k/T, with k of the T tokens needed as a prefix before every further argmax is right. `wholly_extractable`: share
    of examples with k = 0. `verbatim`: share of greedy completions that write the reference solution word for word;
    `verbatim_prefix`: mean share of the solution's words that the completion begins with.
    On `train`, against `val`: `nll_gap` (val minus train) and `exact_gap`, `extraction_strength_gap`,
    `verbatim_prefix_gap` (train minus val): above 0 is memory rather than skill, where both are of one distribution.

    Source: Tirumala et al. 2022, https://arxiv.org/abs/2205.10770 (exact); Wang et al. 2024,
    https://arxiv.org/abs/2406.09179 (extraction strength); Carlini et al. 2023, https://arxiv.org/abs/2202.07646.
    """
    by_split = {split: _of_split(snapshot, split) for split in splits_of(snapshot)}
    rows = [
        row(snapshot, split, "memorization", metric, number)
        for split, numbers in by_split.items()
        for metric, number in numbers.items()
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
    """`extraction`: gain in the share of a training solution that needs no prefix, by Student's t."""
    strengths, before = (_strengths(snapshot) for snapshot in (bad, good))
    names = shared(list(strengths), list(before))
    worse = mean_difference(values_of(strengths, names) - values_of(before, names))
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
        numbers = dict.fromkeys((*SCORED, "nll"), Estimate(None, note=scores))
    else:
        order = by_id(scores.example_ids)
        tokens = scores.token_counts[order].astype(np.float64)
        strength = extraction_strength(scores)[order]
        hits = example_sums(scores, scores.is_argmax.astype(np.float64))[order]
        numbers = {
            "exact": fraction(hits, tokens),
            "extraction_strength": fraction_mean(strength),
            "wholly_extractable": fraction_mean((strength == 1).astype(np.float64)),
            "nll": ratio(scores.nll_sums[order], tokens),
        }
    written = _written(snapshot, split)
    if isinstance(written, str):
        return numbers | dict.fromkeys(WRITTEN, Estimate(None, note=written))
    whole, prefix, note = written
    shares = {"verbatim": whole.astype(np.float64), "verbatim_prefix": prefix}
    return numbers | {metric: fraction_mean(values, note) for metric, values in shares.items()}


def extraction_strength(scores: Scores) -> Float[np.ndarray, " examples"]:
    """1 - k/T of each example, in stored order: k tokens of T must be given before every further argmax is right."""
    strength = np.zeros(len(scores.example_ids))
    for at, (start, end) in enumerate(zip(scores.offsets[:-1], scores.offsets[1:], strict=True)):
        missed = np.flatnonzero(~scores.is_argmax[start:end].astype(bool))
        needed = int(missed[-1]) + 1 if len(missed) else 0
        strength[at] = 1 - needed / (end - start) if end > start else 0.0
    return strength


def _written(
    snapshot: Snapshot, split: str
) -> tuple[Bool[np.ndarray, " examples"], Float[np.ndarray, " examples"], str] | str:
    """Whether each greedy completion is the reference solution, and the share of it that it begins with; and a note."""
    samples = samples_or_note(snapshot, split)
    if isinstance(samples, str):
        return samples
    solutions = {e.id: words(e.solution) for e in snapshot.examples.get(split, ())}
    whole, prefix, cut = [], [], 0
    for name, at in greedy_rows(samples).items():
        if not solutions.get(name):
            continue
        solution, text = solutions[name], words(samples.text[at])
        same = [a == b for a, b in zip(solution, text, strict=False)]
        shared = same.index(False) if False in same else len(same)
        if samples.stop[at] == "length" and shared == len(text) < len(solution):
            cut += 1  # whether it would have gone on the same way is not observed
            continue
        whole.append(solution == text)
        prefix.append(shared / len(solution))
    if not whole:
        return "no greedy completion of an example whose solution was kept"
    note = f"{cut} left out: word for word up to the length limit" if cut else ""
    return np.array(whole), np.array(prefix, dtype=np.float64), note
