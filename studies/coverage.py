"""Whether the probes' 95% intervals contain the truth 95% of the time: seeded simulations with known truth.

`python -m studies.coverage docs/results/coverage.md` makes the table.
"""

import sys
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from overmem.seeds import generator
from studies.populations import ALL_RIGHT, BEYOND, COUNTS, NO_ERROR, Cell, cells


@dataclass(frozen=True)
class Coverage:
    """How often the interval contained the truth over the runs of one cell, and how wide it was."""

    cell: Cell
    runs: int
    covered: float
    mean: float
    width: float


def coverage(cell: Cell, runs: int, seed: int = 0) -> Coverage:
    """Simulate one cell; a run without an interval counts as a miss."""
    held, values, widths = 0, [], []
    for run in range(runs):
        result = cell.draw(generator("coverage", seed, cell.quantity, cell.setting, cell.n, run))
        if result.value is None or result.low is None or result.high is None:
            continue
        held += result.low - 1e-9 <= cell.truth <= result.high + 1e-9
        values.append(result.value)
        widths.append(result.high - result.low)
    return Coverage(cell, runs, held / runs, float(np.mean(values)), float(np.mean(widths)))


def table(runs: int = 10_000) -> str:
    """The page: one row per cell."""
    rows = [coverage(cell, round(cell.share * runs)) for cell in cells()]
    free = [r for r in rows if not r.cell.edge]
    inside = [r for r in free if 0.93 <= r.covered <= 0.97]
    lines = [
        "# Do the 95% intervals hold the truth?",
        "",
        f"Seeded simulations with known truth, {runs:,} runs a row (fewer for correlated tokens), through the",
        f"functions that the probes call. One standard error of a coverage of 0.95 is {sqrt(0.95 * 0.05 / runs):.4f}.",
        "Made by `python -m studies.coverage docs/results/coverage.md`.",
        "",
        f"{len(inside)} of {len(free)} rows lie within 0.93 to 0.97. {len(rows) - len(free)} more are of kinds that no",
        "interval can always hold 95% of the time; where it does not, the last column says why:",
        "",
        f"- *{ALL_RIGHT}*: fewer than two failures' worth are expected in the sample. From right",
        "  answers alone nobody can tell a population without hopeless questions from one with 2% of them, and an",
        "  interval that holds the second (rows `2% hopeless`) must be wider than the first needs.",
        f"- *{COUNTS}*: single values of 0 and 1 with few failures expected. An interval is a function of",
        "  the count, the count is whole, and coverage jumps as the truth passes from one count's interval to the next",
        "  one's (Brown, Cai and DasGupta 2001, https://doi.org/10.1214/ss/1009213286).",
        f"- *{BEYOND}*: the threshold may lie above the largest non-member, where there are no data, so",
        "  that the lower end is 0 and only the upper one can miss. 1,000 non-members are enough for a rate of 1%.",
        f"- *{NO_ERROR}*: 0 is an end of the range of a calibration error. Its estimate can then only be too",
        "  large, and what another error has gained over it comes out too small, in an interval that reaches too far.",
        "",
        "The intervals of the paired drop, of pass@k, of ECE and of the TPR were chosen by trying several on such",
        "populations, with other draws. `-` is below 0.93, `+` is above 0.97.",
        "",
        "| quantity | setting | n | truth | mean estimate | mean width | coverage | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        mark = "" if 0.93 <= r.covered <= 0.97 else r.cell.edge or ("-" if r.covered < 0.93 else "+")
        lines.append(
            f"| {r.cell.quantity} | {r.cell.setting} | {r.cell.n:,} | {r.cell.truth:.4f} | {r.mean:.4f} "
            f"| {r.width:.4f} | {r.covered:.3f} | {mark} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table(int(sys.argv[2]) if len(sys.argv) > 2 else 10_000), encoding="utf-8")
