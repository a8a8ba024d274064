"""Out-of-distribution accuracy and nll, compared with test."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from overmem.probes.paired import accuracy_lost, groups_of
from overmem.probes.probe import Comparison
from overmem.probes.rows import (
    greedy_rows,
    missing,
    omitted_for_length,
    row,
    samples_or_note,
    scores_or_note,
    splits_of,
)
from overmem.records import Estimate, Measurement, Snapshot, SplitName
from overmem.statistics import difference, mean, mean_of_independent, p_of_interval, ratio, share

METRICS = ("accuracy_drop", "nll_rise")


def ood(snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None) -> list[Measurement]:
    """Accuracy drop and nll rise on every out-of-distribution set, against `test` at the same checkpoint.

    On every split `ood-<name>`: `accuracy_drop`: greedy accuracy on test minus that on the set, two independent shares,
    with Newcombe's interval; `nll_rise`: nats per token on the set minus those on test.
    On the split `ood`, over the sets: `accuracy`, `accuracy_drop`, `nll` and `nll_rise`: unweighted means, with the
    interval for new examples of the same sets; and `accuracy_drop_new_sets`: the same mean with the interval for other
    sets of this kind (Student's over the sets, plus the error of test; wide for few sets).
    """
    splits = [split for split in splits_of(snapshot) if SplitName.parse(split).is_ood]
    if not splits:
        return missing(snapshot, "ood", "ood", METRICS, "no out-of-distribution split was observed")
    test_accuracy, test_nll = _accuracy(snapshot, "test"), _nll(snapshot, "test")
    rows, shares, nlls = [], [], []
    for split in splits:
        share, nll = _accuracy(snapshot, split), _nll(snapshot, split)
        drop = _against_test(test_accuracy, share)
        rows.append(row(snapshot, split, "ood", "accuracy_drop", drop))
        rows.append(row(snapshot, split, "ood", "nll_rise", _against_test(nll, test_nll, test_first=False)))
        shares.append(share)
        nlls.append(nll)
    accuracy, nll = _mean_over_sets(shares), _mean_over_sets(nlls)
    over_sets = {
        "accuracy": accuracy,
        "accuracy_drop": _pooled(test_accuracy, accuracy, accuracy.note),
        "accuracy_drop_new_sets": _against_new_sets(test_accuracy, shares),
        "nll": nll,
        "nll_rise": _pooled(nll, test_nll, nll.note),
    }
    return rows + [row(snapshot, "ood", "ood", metric, estimate) for metric, estimate in over_sets.items()]


def ood_lost(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """`ood-<name>`: greedy accuracy lost on each set, with Tango's interval and McNemar's exact p.

    `ood (mean of sets)`: the unweighted mean, for new examples of the same sets.
    """
    sentence = "accuracy on questions of another kind than it was trained on is {} lower"
    splits = [split for split in sorted(good.samples) if SplitName.parse(split).is_ood and split in bad.samples]
    each = [accuracy_lost(good.samples[split], bad.samples[split], groups_of(good, split)) for split in splits]
    for split, (worse, p) in zip(splits, each, strict=True):
        yield Comparison(split, worse, p, sentence)
    with_value = [worse for worse, _ in each if worse.value is not None]
    if len(with_value) > 1:
        over_sets = mean_of_independent(with_value, f"mean of {len(with_value)} sets")
        yield Comparison("ood (mean of sets)", over_sets, p_of_interval(over_sets), sentence)


def _accuracy(snapshot: Snapshot, split: str) -> Estimate:
    samples = samples_or_note(snapshot, split)
    if isinstance(samples, str):
        return Estimate(None, note=samples)
    greedy = greedy_rows(samples).values()
    note = omitted_for_length(snapshot, split) if greedy else "no greedy completion"
    return share(sum(bool(samples.correct[i]) for i in greedy), len(greedy), note)


def _nll(snapshot: Snapshot, split: str) -> Estimate:
    scores = scores_or_note(snapshot, split)
    if isinstance(scores, str):
        return Estimate(None, note=scores)
    return ratio(scores.nll_sums, scores.token_counts.astype(np.float64))


def _against_test(left: Estimate, right: Estimate, *, test_first: bool = True) -> Estimate:
    test = left if test_first else right
    if test.value is None:
        return Estimate(None, note=f"test: {test.note}")
    gap = difference(left, right)
    return gap if gap.value is None else replace(gap, n=(right if test_first else left).n)


def _pooled(left: Estimate, right: Estimate, note: str) -> Estimate:
    gap = difference(left, right)
    reason = left.note or right.note or "no set to compare with test"
    return Estimate(None, note=reason) if gap.value is None else replace(gap, note=note)


def _mean_over_sets(shares: list[Estimate]) -> Estimate:
    with_value = [s for s in shares if s.value is not None]
    if not with_value:
        return Estimate(None, note=shares[0].note)
    missing = f", {len(shares) - len(with_value)} without a value" if len(with_value) < len(shares) else ""
    return mean_of_independent(with_value, f"mean of {len(with_value)} sets{missing}")


def _against_new_sets(test: Estimate, shares: list[Estimate]) -> Estimate:
    values = np.array([s.value for s in shares if s.value is not None], dtype=np.float64)
    if test.value is None or not len(values):
        return Estimate(None, note=f"test: {test.note}" if test.value is None else shares[0].note)
    n = sum(s.n for s in shares if s.value is not None)
    if len(values) == 1:
        return Estimate(test.value - float(values[0]), n=n, note="one set: no interval for other sets")
    gap = difference(test, mean(values))
    return replace(gap, n=n, note=f"over {len(values)} sets as a sample of sets")
