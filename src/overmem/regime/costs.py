"""What over-memorization costs at comparable accuracy: each paired against the recommended checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt

import numpy as np
from scipy.special import ndtr, stdtr

from overmem import stats
from overmem.records import Cost, Estimate, Measurement, Samples, Snapshot

FROM_MEASUREMENTS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "calibration": ("calibration", "test", ("completion_ece", "token_ece")),
    "membership": ("membership", "", ("ratio_auroc", "diff_auroc", "loss_auroc")),
}
"""Costs that are differences of two measured numbers: probe, split (empty: any), metrics in order of preference."""


def costs(
    recommended: Snapshot, late: Snapshot, measurements: Sequence[Measurement], *, alpha: float = 0.05
) -> tuple[Cost, ...]:
    """Every cost that the observations allow, p Holm-adjusted over all of them; positive is worse at `late`.

    Accuracy on shifted and out-of-distribution questions: the same questions, McNemar's exact test and Newcombe's
    interval. pass@k: the same questions, Student's t. Calibration and membership: the difference of two measured
    numbers, their errors taken as independent, which is cautious because the questions are the same.
    """
    found: list[tuple[str, Estimate, float]] = []
    for split in late.samples:
        name = f"robustness ({split[5:]})" if split.startswith("test+") else split if split.startswith("ood-") else ""
        if name and split in recommended.samples:
            found.append((name, *_accuracy_lost(recommended.samples[split], late.samples[split])))
    if "test" in late.samples and "test" in recommended.samples:
        found += _pass_at_k(recommended.samples["test"], late.samples["test"])
    for name, (probe, split, metrics) in FROM_MEASUREMENTS.items():
        pick = _picker(measurements, probe, split)
        pairs = ((pick(late.checkpoint.name, m), pick(recommended.checkpoint.name, m)) for m in metrics)
        both = next(((a, b) for a, b in pairs if a is not None and b is not None), None)
        if both is not None:
            found.append((name, *_risen(*both)))
    known = [f for f in found if f[1].value is not None]
    adjusted = stats.holm([p for _, _, p in known])
    return tuple(
        Cost(name, late.checkpoint.name, value, p, bool(p is not None and p < alpha and (value.value or 0) > 0))
        for (name, value, _), p in zip(known, adjusted, strict=True)
    )


def _greedy(samples: Samples) -> dict[str, bool]:
    rows = zip(samples.example_ids, samples.draw, samples.correct, samples.stop, strict=True)
    return {i: bool(hit) for i, draw, hit, stop in rows if draw == 0 and stop != "skipped"}


def _accuracy_lost(recommended: Samples, late: Samples) -> tuple[Estimate, float]:
    good, bad = _greedy(recommended), _greedy(late)
    shared = [i for i in good if i in bad]
    left, right = np.array([good[i] for i in shared], bool), np.array([bad[i] for i in shared], bool)
    return stats.paired_shares(left, right), stats.mcnemar(left, right)


def _solved(samples: Samples) -> dict[str, list[bool]]:
    draws: dict[str, list[bool]] = {}
    for i, draw, hit in zip(samples.example_ids, samples.draw, samples.correct, strict=True):
        if draw > 0:
            draws.setdefault(i, []).append(bool(hit))
    return draws


def _pass_at_k(recommended: Samples, late: Samples) -> list[tuple[str, Estimate, float]]:
    good, bad = _solved(recommended), _solved(late)
    shared = [i for i in good if i in bad]
    k = min((min(len(good[i]), len(bad[i])) for i in shared), default=0)
    if k < 2:
        return []
    lost = np.array([float(any(good[i][:k])) - float(any(bad[i][:k])) for i in shared])
    value = stats.mean(lost)
    return [(f"pass@{k}", value, _two_sided(lost))]


def _two_sided(differences: np.ndarray) -> float:
    n, deviation = len(differences), float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if deviation == 0:
        return 1.0
    return float(2 * stdtr(n - 1, -abs(differences.mean()) / (deviation / sqrt(n))))


def _picker(measurements: Sequence[Measurement], probe: str, split: str) -> Callable[[str, str], Measurement | None]:
    table: dict[tuple[str, str], Measurement] = {}
    for m in measurements:
        if m.probe.startswith(probe) and (not split or m.split == split) and m.value is not None:
            table.setdefault((m.checkpoint, m.metric), m)
    return lambda checkpoint, metric: table.get((checkpoint, metric))


def _error(m: Measurement) -> float | None:
    if m.stderr is not None:
        return m.stderr
    return (m.high - m.low) / (2 * stats.Z) if m.low is not None and m.high is not None else None


def _risen(late: Measurement, recommended: Measurement) -> tuple[Estimate, float]:
    value = (late.value or 0.0) - (recommended.value or 0.0)
    errors = _error(late), _error(recommended)
    n = min(late.n, recommended.n)
    if errors[0] is None or errors[1] is None:
        return Estimate(value, n=n, note="no interval"), 1.0
    stderr = sqrt(errors[0] ** 2 + errors[1] ** 2)
    found = Estimate(value, value - stats.Z * stderr, value + stats.Z * stderr, n, late.metric)
    return found, float(2 * ndtr(-abs(value) / stderr)) if stderr > 0 else 1.0
