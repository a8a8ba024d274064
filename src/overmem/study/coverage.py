"""Whether the probes' 95% intervals hold the truth 95% of the time: seeded simulations with known truth.

`python -m overmem.study.coverage docs/results/coverage.md` makes the table.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.special import beta, ndtr, ndtri

from overmem.probes.draws import pass_at
from overmem.probes.estimates import Number, difference, fraction_mean, paired_drop, proportion, ratio
from overmem.probes.reliability import Judged, calibration_error
from overmem.probes.roc import auroc, tpr_at
from overmem.seeds import generator

Draw = Callable[[np.random.Generator], Number]


@dataclass(frozen=True)
class Cell:
    """One simulated situation: what is estimated, how the data come about, and the truth."""

    quantity: str
    setting: str
    n: int
    truth: float
    draw: Draw
    share: float = 1.0
    """Of the table's runs: less where one run is a bootstrap of its own."""


@dataclass(frozen=True)
class Coverage:
    """How often the interval held the truth over the runs of one cell, and how wide it was."""

    cell: Cell
    runs: int
    covered: float
    mean: float
    width: float


def coverage(cell: Cell, runs: int, seed: int = 0) -> Coverage:
    """Simulate one cell; a run without an interval counts as a miss."""
    held, values, widths = 0, [], []
    for run in range(runs):
        found = cell.draw(generator("coverage", seed, cell.quantity, cell.setting, cell.n, run))
        if found.value is None or found.low is None or found.high is None:
            continue
        held += found.low - 1e-9 <= cell.truth <= found.high + 1e-9
        values.append(found.value)
        widths.append(found.high - found.low)
    return Coverage(cell, runs, held / runs, float(np.mean(values)), float(np.mean(widths)))


def cells() -> Iterator[Cell]:
    """Every situation of the table."""
    yield from _shares()
    yield from _drops()
    yield from _nlls()
    yield from _aurocs()
    yield from _passes()
    yield from _calibrations()


def _shares() -> Iterator[Cell]:
    for n in (100, 500):
        for p in (0.5, 0.8, 0.95):

            def draw(r: np.random.Generator, n: int = n, p: float = p) -> Number:
                return proportion(int(r.binomial(n, p)), n)

            yield Cell("accuracy", f"accuracy {p}", n, p, draw)


def _drops() -> Iterator[Cell]:
    worlds = ((0.8, 0.05, 0.05), (0.8, 0.12, 0.02), (0.5, 0.2, 0.1), (0.95, 0.1, 0.01), (0.9, 0.02, 0.02))
    for n in (100, 200, 500, 1000):
        for accuracy, lost, won in worlds:

            def draw(
                r: np.random.Generator, n: int = n, a: float = accuracy, lost: float = lost, won: float = won
            ) -> Number:
                kind = r.choice(4, n, p=[a - lost, lost, won, 1 - a - won])
                return paired_drop(kind <= 1, (kind == 0) | (kind == 2))

            setting = f"accuracy {accuracy}, lost {lost}, won {won}"
            yield Cell("accuracy drop, paired", setting, n, lost - won, draw)
    for n in (100, 500):

        def apart(r: np.random.Generator, n: int = n) -> Number:
            return difference(proportion(int(r.binomial(n, 0.9)), n), proportion(int(r.binomial(n // 2, 0.75)), n // 2))

        yield Cell("accuracy drop, two sets", "0.9 against 0.75 on half as many", n, 0.15, apart)


def _nlls() -> Iterator[Cell]:
    for n in (50, 200, 1000):

        def draw(r: np.random.Generator, n: int = n) -> Number:
            tokens = r.integers(20, 200, n).astype(np.float64)
            level = r.gamma(4, 0.1, n) * (tokens / 110) ** 0.3
            return ratio(tokens * level * r.gamma(20, 1 / 20, n), tokens)

        t = np.arange(20, 200)
        truth = 0.4 * float((t * (t / 110) ** 0.3).mean() / t.mean())
        yield Cell("nll, ratio of sums", "skewed, longer is harder", n, truth, draw)


def _aurocs() -> Iterator[Cell]:
    for n in (50, 200, 500):
        for shift in (0.0, 0.5, 1.5, 2.5):

            def normal(r: np.random.Generator, n: int = n, shift: float = shift) -> Number:
                return auroc(r.normal(shift, 1.3, n), r.normal(0, 1, n))

            truth = float(ndtr(shift / sqrt(1 + 1.3**2)))
            yield Cell("AUROC", f"normal scores, {shift} apart, as many members as not", n, truth, normal)
    for n in (200, 1000):
        for rate in (0.01, 0.05):

            def tail(r: np.random.Generator, n: int = n, rate: float = rate) -> Number:
                return tpr_at(rate, r.normal(1.5, 1, n), r.normal(0, 1, n), seed=int(r.integers(1 << 30)))

            truth = float(ndtr(1.5 + ndtri(rate)))
            yield Cell(f"TPR at {rate:.0%} FPR", "normal scores, 1.5 apart", n, truth, tail, share=0.2)


def _passes() -> Iterator[Cell]:
    for n in (50, 200, 500):
        for a, b, name in ((2.0, 2.0, "mixed questions"), (0.3, 0.3, "easy or hopeless"), (8.0, 1.0, "mostly easy")):
            for k in (1, 4, 16):

                def draw(r: np.random.Generator, n: int = n, a: float = a, b: float = b, k: int = k) -> Number:
                    worth = np.array([pass_at(k, 16, c) for c in range(17)])
                    return fraction_mean(worth[r.binomial(16, r.beta(a, b, n))])

                truth = 1 - float(beta(a, b + k) / beta(a, b))
                yield Cell(f"pass@{k} of 16", name, n, truth, draw)


def _calibrations() -> Iterator[Cell]:
    for n, each in ((100, 1), (200, 1), (500, 1), (1000, 1), (200, 30)):
        bins = max(1, min(10, n * each // 40, n // 10))
        for overconfidence in (0.0, 0.05, 0.15, 0.3):

            def draw(r: np.random.Generator, n: int = n, each: int = each, over: float = overconfidence) -> Number:
                confidence = r.beta(4, 1, n * each)
                shared = np.repeat(r.normal(size=n), each)
                chance = ndtr(sqrt(0.2) * shared + sqrt(0.8) * r.normal(size=n * each)) if each > 1 else r.random(n)
                return calibration_error(
                    Judged(confidence, chance < _right(confidence, over), np.repeat(np.arange(n), each))
                )

            grid = (np.arange(100_000) + 0.5) / 100_000
            confidence = grid**0.25
            parts = np.array_split(confidence - _right(confidence, overconfidence), bins)
            gap = np.array([part.mean() for part in parts])
            kind = "answers" if each == 1 else f"{each} correlated tokens each"
            setting = f"{kind}, {bins} bins, overconfident by {overconfidence} at worst"
            yield Cell("ECE", setting, n, float(np.sqrt((gap**2).mean())), draw)


def _right(confidence: np.ndarray, overconfidence: float) -> np.ndarray:
    return np.asarray(np.clip(confidence - 4 * overconfidence * confidence * (1 - confidence), 0, 1))


def table(runs: int = 1000) -> str:
    """The page: one row a cell."""
    rows = [coverage(cell, round(cell.share * runs)) for cell in cells()]
    inside = [r for r in rows if 0.93 <= r.covered <= 0.97]
    lines = [
        "# Do the 95% intervals hold the truth?",
        "",
        f"Seeded simulations with known truth, {runs:,} runs a row (a fifth for TPR), through the",
        f"functions that the probes call. One standard error of a coverage of 0.95 is {sqrt(0.95 * 0.05 / runs):.3f}.",
        "Made by `python -m overmem.study.coverage docs/results/coverage.md`.",
        "",
        f"{len(inside)} of {len(rows)} rows lie within 0.93 to 0.97. The others carry a mark: `+` above, the interval",
        "is wider than it need be; `-` below; `0` above where the truth is, or all but is, an end of the range.",
        "",
        "What lies outside: pass@k above 0.99, where failures are too rare to know their spread and the interval is",
        "kept wide on purpose; an ECE of 0, where only one end can miss; the TPR at 1% FPR with 200 non-members, whose",
        "threshold rests on the largest three of them (take 1,000); and by a hair pass@1 of 50 questions, the ECE of",
        "100 answers, the nll of skewed examples and the ECE of correlated tokens. The intervals of the paired drop,",
        "of pass@k and of ECE were chosen by trying several on these same populations, with other draws.",
        "",
        "| quantity | setting | n | truth | mean estimate | mean width | coverage | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        end = r.cell.quantity != "accuracy drop, paired" and min(r.cell.truth, 1 - r.cell.truth) * r.cell.n < 1
        mark = "" if 0.93 <= r.covered <= 0.97 else "-" if r.covered < 0.93 else "0" if end else "+"
        lines.append(
            f"| {r.cell.quantity} | {r.cell.setting} | {r.cell.n:,} | {r.cell.truth:.4f} | {r.mean:.4f} "
            f"| {r.width:.4f} | {r.covered:.3f} | {mark} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table(int(sys.argv[2]) if len(sys.argv) > 2 else 1000), encoding="utf-8")
