"""Robustness: what a harmless change of the question costs."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from overmem.probes.paired import accuracy_lost, greedy_correct, groups_of
from overmem.probes.probe import Comparison
from overmem.probes.rows import greedy_rows, missing, row, samples_or_note, scores_or_note, splits_of
from overmem.records import Estimate, Measurement, Samples, Snapshot, SplitName
from overmem.shifts import keeps_answer, original_id, shift_of
from overmem.statistics import (
    fraction_mean,
    mcnemar,
    mean_difference,
    p_of_interval,
    ratio,
    ratio_difference,
    share,
    tango,
)

PAIRED = ("accuracy_drop", "mcnemar_p", "pdr", "asp", "limem", "consistency")
WORDINGS = ("wordings_accuracy_drop", "wordings_solved_always", "wordings_consistency")
POOLED = ("mean_accuracy_drop", "solved_always", "consistency_of_all")


def robustness(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Accuracy drop, changed answers and nll rise under each shift, paired by question.

    On every split `<origin>+<shift>`, over the questions in both:
    `accuracy_drop`: accuracy before minus after (positive: the shift costs). `mcnemar_p`: exact, two-sided.
    `pdr`: performance drop rate, 1 - after/before. `asp`: average success on pairs, the share solved both ways.
    `limem`: accuracy x (1 - share still solved), which is the share solved before the shift only.
    `consistency`: share of pairs with the same answer, among those whose right answer is the same; a missing answer
    agrees with nothing. `nll_rise`: nats per token of the reference solution, after minus before.
    If a shift has several variants, on its first split and over all of them: `wordings_accuracy_drop` (averaged over
    the variants of a question first), `wordings_solved_always`: share solved in every variant, and
    `wordings_consistency`: probability that two variants of a question get the same answer.
    On the origin, over all its shifts: `mean_accuracy_drop`, `solved_always`: share solved in every variant, and
    `consistency_of_all`: share with the same answer in every variant that keeps the right answer.

    Source: PDR: Zhu et al. 2023, https://arxiv.org/abs/2306.04528; ASP: Wang et al. 2024; LiMem: Xie et al. 2024,
    https://arxiv.org/abs/2410.23123.
    """
    pairs: dict[str, list[str]] = {}
    for split in splits_of(snapshot):
        name = SplitName.parse(split)
        if name.shift:
            pairs.setdefault(name.base, []).append(name.shift_variant)
    if not pairs:
        names = (*PAIRED, "nll_rise", *POOLED)
        return missing(snapshot, "test", "robustness", names, "no shifted split was observed")
    rows = []
    for origin, variants in pairs.items():
        for variant in variants:
            rows += _paired(snapshot, origin, variant)
            nll_rise = _nll_rise(snapshot, origin, variant)
            rows.append(row(snapshot, f"{origin}+{variant}", "robustness", "nll_rise", nll_rise))
        for shift in variants:
            of_shift = [variant for variant in variants if shift_of(variant) == shift]
            if len(of_shift) > 1:
                rows += _pooled(snapshot, origin, of_shift, f"{origin}+{shift}", WORDINGS)
        rows += _pooled(snapshot, origin, variants, origin, POOLED)
    return rows


def robustness_lost(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """`robustness (<shift>)`: greedy accuracy lost under each shift of test, with Tango's interval and McNemar's p.

    For a shift with several variants, the mean over the variants of each question, with Student's t.
    """
    splits_of_shift: dict[str, list[str]] = {}
    for split in sorted(good.samples):
        name = SplitName.parse(split)
        if name.base == "test" and name.shift and split in bad.samples:
            splits_of_shift.setdefault(name.shift, []).append(split)
    for shift, splits in splits_of_shift.items():
        if len(splits) == 1:
            worse, p = accuracy_lost(good.samples[splits[0]], bad.samples[splits[0]], groups_of(good, splits[0]))
        else:
            worse = _lost_over_variants(good, bad, splits)
            p = p_of_interval(worse)
        yield Comparison(f"robustness ({shift})", worse, p, "accuracy on rephrased test questions is {} lower")


def _lost_over_variants(good: Snapshot, bad: Snapshot, splits: Sequence[str]) -> Estimate:
    lost: dict[str, list[float]] = {}
    for split in splits:
        left, right = greedy_correct(good.samples[split]), greedy_correct(bad.samples[split])
        for name in left:
            if name in right:
                question = original_id(name, SplitName.parse(split).shift_variant)
                lost.setdefault(question, []).append(float(left[name]) - float(right[name]))
    means = np.array([np.mean(each) for _, each in sorted(lost.items())], dtype=np.float64)
    return mean_difference(means, f"{len(splits)} variants per question")


def _paired(snapshot: Snapshot, origin: str, variant: str) -> list[Measurement]:
    split = f"{origin}+{variant}"
    before, after = samples_or_note(snapshot, origin), samples_or_note(snapshot, split)
    if isinstance(after, str):
        return missing(snapshot, split, "robustness", PAIRED, after)
    if isinstance(before, str):
        return missing(snapshot, split, "robustness", PAIRED, f"{origin}: {before}")
    row_before, row_after = greedy_rows(before), _by_original(after, variant)
    both = [name for name in row_before if name in row_after]
    if not both:
        return missing(snapshot, split, "robustness", PAIRED, f"no greedy completion is paired with one of {origin}")
    note = "" if len(both) == len(row_after) else f"{len(row_after) - len(both)} without an original left out"
    was = np.array([bool(before.correct[row_before[name]]) for name in both])
    now = np.array([bool(after.correct[row_after[name]]) for name in both])
    kept = _keeping_answer(snapshot, origin, variant, both)
    same = [_agree(_answer(before, row_before[name]), _answer(after, row_after[name])) for name in kept]
    estimates = {
        "accuracy_drop": tango(was, now, note),
        "mcnemar_p": _mcnemar(was, now),
        "pdr": _drop_rate(was, now, note),
        "asp": share(int((was & now).sum()), len(both), note),
        "limem": share(int((was & ~now).sum()), len(both), note),
        "consistency": share(sum(same), len(same), note if same else "this shift changes the answer"),
    }
    return [row(snapshot, split, "robustness", metric, estimate) for metric, estimate in estimates.items()]


def _by_original(samples: Samples, variant: str) -> dict[str, int]:
    """Id of the original example -> row of the greedy completion."""
    return {original_id(name, variant): i for name, i in greedy_rows(samples).items()}


def _keeping_answer(snapshot: Snapshot, origin: str, variant: str, names: list[str]) -> list[str]:
    """The examples whose right answer the shift keeps.

    This is decided by the reference answers if both texts are there (a changed name may be the answer), else by the
    shift.

    Args:
        snapshot: the checkpoint.
        origin: the split of the originals.
        variant: the shift and its variant.
        names: ids of the originals.
    """
    old = {e.id: e for e in snapshot.examples.get(origin, ())}
    new = {original_id(e.id, variant): e for e in snapshot.examples.get(f"{origin}+{variant}", ())}
    kept = []
    for name in names:
        has_both = name in old and name in new
        if old[name].answer == new[name].answer if has_both else keeps_answer(variant):
            kept.append(name)
    return kept


def _answer(samples: Samples, row: int) -> tuple[str, bool]:
    """The answer of one completion, and whether it is right."""
    return samples.answer[row], bool(samples.correct[row])


def _agree(first: tuple[str, bool], second: tuple[str, bool]) -> bool:
    """Whether two answers to questions with the same right answer are equal.

    Two right ones are, however they are written; wrong ones are compared in the grader's notation.
    """
    (answer, is_right), (other_answer, other_is_right) = first, second
    return (is_right and other_is_right) or answer == other_answer != ""


def _drop_rate(was: Bool[np.ndarray, " examples"], now: Bool[np.ndarray, " examples"], note: str) -> Estimate:
    """1 - accuracy after / accuracy before, of paired answers."""
    if not was.any():
        return Estimate(None, n=len(was), note="no question was solved before the shift")
    kept = ratio(now.astype(np.float64), was.astype(np.float64), note)
    if kept.value is None or kept.low is None or kept.high is None:
        return Estimate(None if kept.value is None else 1 - kept.value, n=kept.n, note=kept.note)
    if kept.stderr == 0:  # no right answer changed, or all did: the interval follows from that of the drop
        drop, solved = tango(was, now), float(was.mean())
        if drop.low is None or drop.high is None:
            return Estimate(1 - kept.value, n=kept.n, note=kept.note)
        low, high = max(drop.low / solved, -1.0 / solved), min(1.0, drop.high / solved)
        return Estimate(1 - kept.value, low, high, kept.n, kept.note)
    return Estimate(1 - kept.value, 1 - kept.high, min(1.0, 1 - kept.low), kept.n, kept.note, kept.stderr)


def _mcnemar(was: Bool[np.ndarray, " examples"], now: Bool[np.ndarray, " examples"]) -> Estimate:
    return Estimate(
        mcnemar(was, now), n=len(was), note=f"{int((was & ~now).sum())} lost, {int((~was & now).sum())} won"
    )


def _nll_rise(snapshot: Snapshot, origin: str, variant: str) -> Estimate:
    before, after = scores_or_note(snapshot, origin), scores_or_note(snapshot, f"{origin}+{variant}")
    if isinstance(after, str):
        return Estimate(None, note=after)
    if isinstance(before, str):
        return Estimate(None, note=f"{origin}: {before}")
    row_before = {name: i for i, name in enumerate(before.example_ids)}
    row_after = {original_id(name, variant): i for i, name in enumerate(after.example_ids)}
    both = sorted(name for name in row_before if name in row_after)
    if not both:
        return Estimate(None, note=f"no example is paired with one of {origin}")
    a, b = [row_after[name] for name in both], [row_before[name] for name in both]
    tokens_after, tokens_before = after.token_counts[a].astype(np.float64), before.token_counts[b].astype(np.float64)
    return ratio_difference(after.nll_sums[a], tokens_after, before.nll_sums[b], tokens_before)


def _pooled(
    snapshot: Snapshot, origin: str, variants: Sequence[str], split: str, metrics: tuple[str, str, str]
) -> list[Measurement]:
    """Accuracy drop, share always solved, and consistency over several variants of each question, by question.

    Args:
        snapshot: the checkpoint.
        origin: the split of the originals.
        variants: the variants, of one shift or of all.
        split: the split of the measurements.
        metrics: WORDINGS or POOLED.
    """
    before = samples_or_note(snapshot, origin)
    all_samples = {variant: samples_or_note(snapshot, f"{origin}+{variant}") for variant in variants}
    samples_of = {variant: samples for variant, samples in all_samples.items() if not isinstance(samples, str)}
    if isinstance(before, str) or not samples_of:
        reason = before if isinstance(before, str) else "no shifted split was sampled"
        return missing(snapshot, split, "robustness", metrics, reason)
    rows_after = {variant: _by_original(samples, variant) for variant, samples in samples_of.items()}
    kept = {
        variant: set(_keeping_answer(snapshot, origin, variant, list(rows))) for variant, rows in rows_after.items()
    }
    note = f"over {', '.join(samples_of)}"
    drops, always, agree = [], [], []
    for name, i in greedy_rows(before).items():
        row_of = {variant: rows[name] for variant, rows in rows_after.items() if name in rows}
        if not row_of:
            continue
        solved = [bool(samples_of[variant].correct[j]) for variant, j in row_of.items()]
        drops.append(float(before.correct[i]) - float(np.mean(solved)))
        always.append(bool(before.correct[i]) and all(solved))
        answers = [_answer(samples_of[variant], j) for variant, j in row_of.items() if name in kept[variant]]
        if metrics is POOLED and answers:
            agree.append(float(all(_agree(_answer(before, i), answer) for answer in answers)))
        elif metrics is not POOLED and len(answers) > 1:
            agree.append(float(np.mean([_agree(a, b) for a, b in combinations(answers, 2)])))
    estimates = (
        mean_difference(np.array(drops, dtype=np.float64), note),
        fraction_mean(np.array(always, dtype=np.float64), note),
        fraction_mean(
            np.array(agree, dtype=np.float64), note if agree else "no question kept its answer in two variants"
        ),
    )
    return [row(snapshot, split, "robustness", metric, e) for metric, e in zip(metrics, estimates, strict=True)]
