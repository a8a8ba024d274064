"""docs/results/merge_search.md: false claims of a search, and what its picks lose on real runs.

`python -m studies.merge_page` reads what `python -m studies.merge_claims` has simulated and the outcomes of
`python -m studies.merge_regret`.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overmem import statistics, store
from overmem.records import Estimate
from studies.merge_claims import claims_table
from studies.merge_runs import CELLS, CHOICES, Size
from studies.page import table

PAGE = Path("docs/results/merge_search.md")
TEMPLATE = Path(__file__).with_name("merge_search.template.md")


def outcomes(runs: Path) -> list[dict[str, Any]]:
    """What came of every finished run."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(runs.glob("*/outcome.json"))]


def regrets(done: Sequence[Mapping[str, Any]], metric: str) -> dict[str, np.ndarray]:
    """Choice -> how much worse it is than the best of all choices, run by run."""
    sign = 1 if metric == "accuracy" else -1
    values = {name: np.array([sign * run["choices"][name][metric] for run in done]) for name in CHOICES}
    best = np.stack(list(values.values())).max(0)
    return {name: best - value for name, value in values.items()}


def over_runs(values: np.ndarray) -> Estimate:
    """The mean over runs with Student's interval."""
    if len(values) < 2:
        return Estimate(float(values.mean()) if len(values) else None, n=len(values))
    return statistics.student(float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5, len(values))


def regret_table(done: Sequence[Mapping[str, Any]]) -> str:
    """Every choice's regret in accuracy and in nll, and how much more it is than that of the search's pick."""
    accuracy, nll = regrets(done, "accuracy"), regrets(done, "nll")
    pick = "the search's pick"
    rows = [
        (
            name,
            len(done),
            _shown(over_runs(100 * accuracy[name]), 2),
            "–" if name == pick else _shown(over_runs(100 * (accuracy[name] - accuracy[pick])), 2),
            _shown(over_runs(nll[name]), 4),
            "–" if name == pick else _shown(over_runs(nll[name] - nll[pick]), 4),
        )
        for name in CHOICES
    ]
    head = (
        "choice",
        "runs",
        "regret in accuracy, points",
        "more than the search's pick",
        "regret in nll, nats per token",
        "more than the search's pick",
    )
    return table(head, rows)


def _shown(estimate: Estimate, digits: int) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def conclusion(done: Sequence[Mapping[str, Any]]) -> str:
    """Which choices the search's pick, and what a user gets, are shown to be more accurate than."""
    accuracy = regrets(done, "accuracy")
    sentences = []
    for choice, words in (("the search's pick", "the pick"), ("search, confirmed", "what a user gets")):
        lows = {name: over_runs(accuracy[name] - accuracy[choice]).low for name in CHOICES[:4]}
        worse = [name for name, low in lows.items() if low is not None and low > 0]
        open_ = [name for name in lows if name not in worse]
        sentence = f"{words} loses less accuracy than {', '.join(worse) or 'none of the others'}"
        sentences.append(sentence + (f"; not shown for {', '.join(open_)}" if open_ else ""))
    return f"Over these {len(done)} runs {sentences[0]}; {sentences[1]}."


def picked_table(done: Sequence[Mapping[str, Any]]) -> str:
    """Cell by cell: what the search picked, and how often test confirmed it."""
    rows = []
    for cell in CELLS:
        own = [run for run in done if run["cell"] == cell]
        picked = Counter(run["picked"] or "the single checkpoint" for run in own)
        rules = ", ".join(f"{rule} {count}" for rule, count in picked.most_common())
        seconds = f"{np.median([run['search_seconds'] for run in own]):.0f}" if own else "–"
        rows.append((cell, len(own), rules or "–", sum(run["recommended"] for run in own), seconds))
    return table(("cell", "runs", "picked on val", "confirmed on test", "processor seconds of a search, median"), rows)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/merge_regret"))
    parser.add_argument("--claims", type=Path, default=Path("runs/merge_claims"), help="what was simulated")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    done, size = outcomes(options.runs), Size()
    text = TEMPLATE.read_text(encoding="utf-8")
    filled = {
        "claims": claims_table(options.claims),
        "regret": regret_table(done) if done else "**Not measured yet: no run has ended.**",
        "conclusion": conclusion(done) if done else "",
        "picked": picked_table(done),
        "runs": str(len(done)),
        "train": str(size.train),
        "epochs": f"{size.epochs:g}",
        "checkpoints": str(size.checkpoints),
        "val": str(size.val),
        "test": str(size.test),
        "fresh": str(size.fresh),
    }
    for name, value in filled.items():
        text = text.replace(f"{{{{ {name} }}}}", value)
    store.write_text(options.out, text)


if __name__ == "__main__":
    main()
