"""Onsets of real runs at several learning rates, and the forecast of each before it happened.

`python -m studies.rates RUN... --out docs/results/forecast.md` reads audited runs and writes the page.
"""

import argparse
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from overmem import statistics, store
from overmem.records import Curves, Estimate
from overmem.verdict.forecast import FEWEST, forecast
from overmem.verdict.onset import UNITS, crossings
from overmem.verdict.quantities import trough_weights
from studies.foresight import SEEN, seen
from studies.page import table

TEMPLATE = (Path(__file__).parent / "rates.template.md").read_text(encoding="utf-8")


def rise(curves: Curves, *, d_nll: float = 0.05, draws: int = 1000) -> dict[str, Estimate]:
    """When perplexity became costly, whatever the accuracy, in every unit of time, each with a 95% interval."""
    rows = [i for i, c in enumerate(curves.checkpoints) if c.step > 0]
    kept = np.isfinite(curves.nll_sums[rows]).all(0)
    sums, tokens = curves.nll_sums[rows][:, kept], curves.token_counts[kept].astype(np.float64)
    n = len(tokens)
    weights = np.vstack([np.ones(n), statistics.bootstrap_weights(n, draws, "rise")])
    nll, trough = (weights @ sums.T) / (weights @ tokens)[:, None], trough_weights(sums, tokens)
    over = nll - (nll @ trough)[:, None] - d_nll
    result = {}
    for name, unit in UNITS.items():
        times = np.array([unit(curves.checkpoints[i]) for i in rows], dtype=np.float64)
        crossed = crossings(times, over, np.ones_like(over), int(trough.argmax()))
        result[name] = statistics.percentiles(crossed[1:], float(crossed[0]), n)
    return result


def page(runs: Sequence[str]) -> str:
    """The whole page."""
    onsets, record, all_risen = [], [], []
    for name in runs:
        curves = store.read_curves(store.open_run(name), "val")
        risen, trained = rise(curves), [c for c in curves.checkpoints if c.step > 0]
        all_risen.append(risen)
        mean_rate = (trained[-1].cumulative_lr or 0.0) / trained[-1].step
        shown = (_shown(risen["step"], ".0f"), _shown(risen["epoch"], ".1f"), _shown(risen["cumulative_lr"], ".3f"))
        onsets.append((f"{mean_rate:.1e}", len(trained), risen["step"].n, *shown))
        record += [_foretold(curves, risen["step"], part, f"{mean_rate:.1e}") for part in SEEN]
    head = ("learning rate", "checkpoints", "n", "step", "epoch", "cumulative learning rate")
    foretold = ("learning rate", "seen, % of the way", "interval, steps", "came at step", "held")
    return TEMPLATE.format(
        onsets=table(head, onsets),
        record=table(foretold, record),
        fewest=FEWEST,
        of_rate=_grown(all_risen, "cumulative_lr"),
        of_epoch=_grown(all_risen, "epoch"),
    )


def _grown(risen: Sequence[Mapping[str, Estimate]], unit: str) -> str:
    """The last onset over the first, in a unit of time."""
    first, last = risen[0][unit].value, risen[-1][unit].value
    return f"{last / first:.1f}" if first and last else "an unknown number of"


def _shown(estimate: Estimate, form: str) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return estimate.note
    return f"{estimate.value:{form}} ({estimate.low:{form}}–{estimate.high:{form}})"


def _foretold(curves: Curves, came: Estimate, part: float, rate: str) -> tuple[str, ...]:
    onset = came.value or 0.0
    prediction = forecast(seen(curves, part * onset)).step
    where = (rate, f"{100 * part:.0f}")
    if prediction.low is None or prediction.high is None:
        return (*where, "none: too few checkpoints", f"{onset:.0f}", "–")
    end = f"{prediction.high:.0f}" if isfinite(prediction.high) else "no upper end"
    return (
        *where,
        f"{prediction.low:.0f}–{end}",
        f"{onset:.0f}",
        "yes" if prediction.low <= onset <= prediction.high else "no",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="audited runs with a val split")
    parser.add_argument("--out", type=Path, default=Path("docs/results/forecast.md"))
    options = parser.parse_args(argv)
    options.out.write_text(page(options.runs), encoding="utf-8")


if __name__ == "__main__":
    main()
