"""Populations whose truth is known, and what the probes estimate of samples from them: what coverage is studied on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import beta, ndtr, ndtri

from overmem.probes.draws import pass_at
from overmem.records import Estimate
from overmem.statistics import difference, fraction_mean, mean_difference, mean_of_independent, ratio, share, tango
from overmem.statistics.reliability import Claims, calibration_difference, calibration_error
from overmem.statistics.roc import auroc, auroc_difference, tpr_at

Random = np.random.Generator
Draw = Callable[[Random], Estimate]
Chances = Callable[[Random, int], Float[np.ndarray, " questions"]]


@dataclass(frozen=True)
class Cell:
    """One simulated situation: what is estimated, how the data come about, and the truth."""

    quantity: str
    setting: str
    n: int
    truth: float
    draw: Draw
    edge: str = ""
    """Why no interval can hold this truth just 95% of the time; empty where one can."""
    share: float = 1.0
    """Of the table's runs."""


COUNTS = "counts of few failures jump"
ALL_RIGHT = "hardly any failure is seen"
NO_ERROR = "an error near 0"
BEYOND = "beyond all non-members"


def cells() -> Iterator[Cell]:
    """Every situation of the table."""
    yield from _shares()
    yield from _drops()
    yield from _nlls()
    yield from _aurocs()
    yield from _passes()
    yield from _calibrations()
    yield from _paired()


def _shares() -> Iterator[Cell]:
    for n in (100, 500):
        for p in (0.5, 0.8, 0.95):

            def draw(r: Random, n: int = n, p: float = p) -> Estimate:
                return share(int(r.binomial(n, p)), n)

            yield Cell("accuracy", f"accuracy {p}", n, p, draw)


def _drops() -> Iterator[Cell]:
    worlds = ((0.8, 0.05, 0.05), (0.8, 0.12, 0.02), (0.5, 0.2, 0.1), (0.95, 0.1, 0.01), (0.9, 0.02, 0.02))
    for n in (100, 200, 500, 1000):
        for accuracy, lost, won in worlds:

            def draw(r: Random, n: int = n, a: float = accuracy, lost: float = lost, won: float = won) -> Estimate:
                kind = r.choice(4, n, p=[a - lost, lost, won, 1 - a - won])
                return tango(kind <= 1, (kind == 0) | (kind == 2))

            setting = f"accuracy {accuracy}, lost {lost}, won {won}"
            yield Cell("accuracy drop, paired", setting, n, lost - won, draw)
    for n in (100, 500):

        def apart(r: Random, n: int = n) -> Estimate:
            return difference(share(int(r.binomial(n, 0.9)), n), share(int(r.binomial(n // 2, 0.75)), n // 2))

        yield Cell("accuracy drop, two sets", "0.9 against 0.75 on half as many", n, 0.15, apart)

        def wordings(r: Random, n: int = n) -> Estimate:
            chance = r.beta(2, 1, n)
            return mean_difference((r.random(n) < chance) - r.binomial(3, 0.9 * chance) / 3)

        yield Cell("accuracy drop, three wordings", "accuracy 0.67, a tenth lost", n, 0.1 * 2 / 3, wordings)

        def sets(r: Random, n: int = n) -> Estimate:
            lost, won = r.multinomial(n, [0.06, 0.02, 0.92], 3)[:, :2].T
            at = np.arange(n)
            pairs = [tango(at < a, (a <= at) & (at < a + b)) for a, b in zip(lost, won, strict=True)]
            return mean_of_independent(pairs, "")

        yield Cell("accuracy drop, mean of three sets", "lost 0.06, won 0.02", n, 0.04, sets)


def _nlls() -> Iterator[Cell]:
    for n in (50, 200, 1000):

        def draw(r: Random, n: int = n) -> Estimate:
            tokens = r.integers(20, 200, n).astype(np.float64)
            level = r.gamma(4, 0.1, n) * (tokens / 110) ** 0.3
            return ratio(tokens * level * r.gamma(20, 1 / 20, n), tokens)

        t = np.arange(20, 200)
        truth = 0.4 * float((t * (t / 110) ** 0.3).mean() / t.mean())
        yield Cell("nll, ratio of sums", "skewed, longer is harder", n, truth, draw)


def _aurocs() -> Iterator[Cell]:
    for n in (50, 200, 500):
        for shift in (0.0, 0.5, 1.5, 2.5):

            def normal(r: Random, n: int = n, shift: float = shift) -> Estimate:
                return auroc(r.normal(shift, 1.3, n), r.normal(0, 1, n))

            truth = float(ndtr(shift / sqrt(1 + 1.3**2)))
            yield Cell("AUROC", f"normal scores, {shift} apart, as many members as not", n, truth, normal)
    for n in (200, 1000):
        for rate in (0.01, 0.05):

            def tail(r: Random, n: int = n, rate: float = rate) -> Estimate:
                return tpr_at(rate, r.normal(1.5, 1, n), r.normal(0, 1, n))

            truth = float(ndtr(1.5 + ndtri(rate)))
            edge = BEYOND if rate * n < 3 else ""
            yield Cell(f"TPR at {rate:.0%} FPR", "normal scores, 1.5 apart", n, truth, tail, edge)


def _hopeless(r: Random, n: int) -> Float[np.ndarray, " questions"]:
    return np.where(r.random(n) < 0.02, 0.0, r.beta(8, 1, n))


QUESTIONS: dict[str, tuple[Chances, Callable[[int], float]]] = {
    "mixed questions": (lambda r, n: r.beta(2, 2, n), lambda k: beta(2, 2 + k) / beta(2, 2)),
    "easy or hopeless": (lambda r, n: r.beta(0.3, 0.3, n), lambda k: beta(0.3, 0.3 + k) / beta(0.3, 0.3)),
    "mostly easy": (lambda r, n: r.beta(8, 1, n), lambda k: beta(8, 1 + k) / beta(8, 1)),
    "mostly easy, 2% hopeless": (_hopeless, lambda k: 0.02 + 0.98 * beta(8, 1 + k) / beta(8, 1)),
}
"""Chances of questions to be answered right, and the chance that k draws all fail."""


def _passes() -> Iterator[Cell]:
    for n in (50, 200, 500):
        for name, (chances, failing) in QUESTIONS.items():
            for k in (1, 4, 16):

                def draw(r: Random, n: int = n, chances: Chances = chances, k: int = k) -> Estimate:
                    pass_by_count = np.array([pass_at(k, 16, c) for c in range(17)])
                    return fraction_mean(pass_by_count[r.binomial(16, chances(r, n))])

                failures = n * failing(k)
                edge = COUNTS if k == 16 and 0.5 <= failures < 5 else ALL_RIGHT if failures < 1.5 else ""
                yield Cell(f"pass@{k} of 16", name, n, 1 - float(failing(k)), draw, edge)


def _right(confidence: np.ndarray, overconfidence: float) -> np.ndarray:
    return np.asarray(np.clip(confidence - 4 * overconfidence * confidence * (1 - confidence), 0, 1))


def _true_error(overconfidence: float, n: int, each: int) -> float:
    """Root mean square gap over the bins that so many claims get."""
    confidence = ((np.arange(100_000) + 0.5) / 100_000) ** 0.25
    parts = np.array_split(confidence - _right(confidence, overconfidence), _bins(n, each))
    return float(np.sqrt(np.mean([part.mean() ** 2 for part in parts])))


def _bins(n: int, each: int) -> int:
    return max(1, min(10, n * each // 40, n // 10))


def _calibrations() -> Iterator[Cell]:
    for n, each in ((100, 1), (200, 1), (500, 1), (1000, 1), (200, 30)):
        for over in (0.0, 0.05, 0.15, 0.3):

            def draw(r: Random, n: int = n, each: int = each, over: float = over) -> Estimate:
                confidence, chance = r.beta(4, 1, n * each), r.random(n)
                if each > 1:
                    shared = np.repeat(r.normal(size=n), each)
                    chance = ndtr(sqrt(0.2) * shared + sqrt(0.8) * r.normal(size=n * each))
                right = chance < _right(confidence, over)
                return calibration_error(Claims(confidence, right, np.repeat(np.arange(n), each)))

            kind = "answers" if each == 1 else f"{each} correlated tokens each"
            setting = f"{kind}, {_bins(n, each)} bins, overconfident by {over} at worst"
            yield Cell("ECE", setting, n, _true_error(over, n, each), draw, share=1.0 if each == 1 else 0.3)


def _paired() -> Iterator[Cell]:
    for n in (100, 500):
        for name, (chances, failing) in list(QUESTIONS.items())[:3]:
            for kept in (1.0, 0.85):

                def draws(r: Random, n: int = n, chances: Chances = chances, kept: float = kept) -> Estimate:
                    pass_by_count = np.array([pass_at(4, 8, c) for c in range(9)])
                    chance = chances(r, n)
                    earlier, later = pass_by_count[r.binomial(8, chance)], pass_by_count[r.binomial(8, kept * chance)]
                    return mean_difference(earlier - later)

                failures = _failing_later(failing, kept, 4)
                truth = failures - float(failing(4))
                setting = f"{name}, chances of the later one times {kept}"
                edge = ALL_RIGHT if n * failures < 1.5 else ""
                yield Cell("pass@4 lost, paired", setting, n, truth, draws, edge)
        for shift in (0.5, 1.0, 3.0):

            def scores(r: Random, n: int = n, shift: float = shift) -> Estimate:
                before, noise = r.normal(size=2 * n), r.normal(size=2 * n)
                now = 0.8 * before + 0.6 * noise
                return auroc_difference(now[:n] + shift, now[n:], before[:n] + 0.5, before[n:])

            truth = float(ndtr(shift / sqrt(2)) - ndtr(0.5 / sqrt(2)))
            yield Cell("AUROC gained, paired", f"normal scores, 0.5 and then {shift} apart", n, truth, scores)
        for early, late in ((0.05, 0.05), (0.05, 0.15), (0.15, 0.3), (0.0, 0.3)):

            def errors(r: Random, n: int = n, early: float = early, late: float = late) -> Estimate:
                sure, luck = _alike(r, n), _alike(r, n)
                now, before = (
                    Claims(c**0.25, chance < _right(c**0.25, over), np.arange(n))
                    for c, chance, over in zip(sure, luck, (late, early), strict=True)
                )
                return calibration_difference(now, before)

            setting = f"answers, overconfident by {early} and then by {late} at worst"
            truth = _true_error(late, n, 1) - _true_error(early, n, 1)
            yield Cell("ECE gained, paired", setting, n, truth, errors, NO_ERROR if early < 0.1 else "")


def _alike(r: Random, n: int) -> tuple[Float[np.ndarray, " examples"], Float[np.ndarray, " examples"]]:
    """Two uniform draws for each example, correlated by 0.6 on the normal scale."""
    shared, first, second = r.normal(size=(3, n))
    return ndtr(sqrt(0.6) * shared + sqrt(0.4) * first), ndtr(sqrt(0.6) * shared + sqrt(0.4) * second)


def _failing_later(failing: Callable[[int], float], kept: float, k: int) -> float:
    """The chance that k draws all fail where every chance is `kept` times as large, by the binomial theorem."""
    return float(sum(comb(k, j) * kept ** (k - j) * (1 - kept) ** j * failing(k - j) for j in range(k + 1)))
