"""`overmem compare A B --report FILE`: two runs on one page: which checkpoint of which, their curves, what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from overmem import explorer, store
from overmem.records import Checkpoint, Estimate
from overmem.records.comparisons import Pair
from overmem.report.charts import Rows, data, domain_of, row, specification, value_axis
from overmem.report.findings import NLL, Findings, has_value, read_findings
from overmem.report.markup import Section, nothing, render
from overmem.report.numbers import perplexity_of
from overmem.report.page import document
from overmem.report.sections.examples import PLACE
from overmem.report.vega import Chart, Spec, channel

TITLES = {
    "recommended": "chosen on val",
    "last": "the last",
    "matched": "lowest nll at the accuracy of both",
    "contrast": "equal accuracy, most different nll",
}
"""Why two checkpoints are compared, by kind."""
COLOURS = ("var(--series-2)", "var(--series-3)")
MEGABYTES = 8.0


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs, and what `overmem compare` shows of them."""

    names: tuple[str, str]
    findings: tuple[Findings, Findings]
    pairs: tuple[Pair, ...]
    sentences: tuple[str, ...]
    split: str
    """Where they are compared."""
    alpha: float = 0.05
    """Error rate of the comparison, after Holm's correction."""

    @property
    def headline(self) -> str:
        """Which of the two recommended checkpoints is shown to be better, in accuracy or else in perplexity."""
        pair = next((p for p in self.pairs if "recommended" in p.kinds), None)
        if pair is None or (pair.p_accuracy is None and pair.p_nll is None):
            return f"{self.names[0]} and {self.names[1]}"
        if _is_shown(pair.p_accuracy, self.alpha):
            return f"Ship {_better(pair, pair.accuracy.value, higher=True)}: its accuracy is shown to be higher."
        if _is_shown(pair.p_nll, self.alpha):
            lower = _better(pair, pair.nll.value, higher=False)
            return f"{lower} has the lower perplexity; of the accuracies neither is shown to be higher."
        return f"Neither {pair.first} nor {pair.second} is shown to be better."


def _is_shown(p: float | None, alpha: float) -> bool:
    return p is not None and p < alpha


def _better(pair: Pair, difference: float | None, *, higher: bool) -> str:
    """The checkpoint of the higher value, or of the lower one, by the second minus the first."""
    return pair.second if (difference is not None and difference > 0) == higher else pair.first


def write_comparison(
    path: Path,
    runs: tuple[store.Run, store.Run],
    pairs: Sequence[Pair],
    sentences: Sequence[str],
    *,
    split: str = "test",
    alpha: float = 0.05,
) -> Path:
    """The page of two runs, with the examples that both observed.

    Args:
        path: where to write it.
        runs: RUN_A and RUN_B.
        pairs: the pairs of checkpoints that were compared.
        sentences: what was shown.
        split: where they are compared.
        alpha: error rate of the comparison.

    Raises:
        BadRequest: a run has no verdict.
    """
    names = store.run_names(runs)
    a, b = (read_findings(run) for run in runs)
    both = ComparedRuns(names, (a, b), tuple(pairs), tuple(sentences), split, alpha)
    tables = [explorer.read_example_table(run) for run in runs]
    table = explorer.joined_tables(tables[0], tables[1], names)
    best = [f.verdict.best_of_run or f.trained[-1].checkpoint.name for f in (a, b)]
    draws_at = [{name, f.trained[-1].checkpoint.name} for name, f in zip(best, (a, b), strict=True)]
    regimes = {
        f"{name}/{key}": regime
        for name, f in zip(names, (a, b), strict=True)
        for key, regime in explorer.regimes_of(f.verdict).items()
    }
    title = f"{names[0]} and {names[1]}"
    headline = both.headline
    sections = comparison_sections(both, has_examples=table.total > 0)
    bytes_left = int(1e6 * MEGABYTES) - len(document(title, headline, sections, "").encode())
    examples = explorer.embedded(
        table,
        bytes_left,
        names=[f"{name}/{checkpoint}" for name, checkpoint in zip(names, best, strict=True)],
        regimes=regimes,
        details=partial(explorer.joined_details, runs, draws_at=draws_at),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(path, document(title, headline, sections, examples))
    return path


def comparison_sections(both: ComparedRuns, *, has_examples: bool) -> dict[str, Section]:
    """Section name -> section, in the order of the page."""
    lead = "Where the two runs differ: right at the first chosen checkpoint and wrong at the second, or back."
    examples = Section("Examples", PLACE, lead=lead) if has_examples else nothing("Examples", "They share no example.")
    return {
        "answer": _answer(both),
        "pairs": _pairs(both),
        "curves": _curves(both),
        "examples": examples,
        "checkpoints": _checkpoints(both),
    }


def _answer(both: ComparedRuns) -> Section:
    runs = [
        {"name": name, "verdict": f.verdict, "best": f.verdict.recommended or f.verdict.best, "findings": f}
        for name, f in zip(both.names, both.findings, strict=True)
    ]
    return Section("Answer", render("comparison.html.j2", part="answer", both=both, runs=runs))


def _pairs(both: ComparedRuns) -> Section:
    rows = [{"pair": pair, "why": " and ".join(TITLES.get(kind, kind) for kind in pair.kinds)} for pair in both.pairs]
    behaviours = [(pair, cost) for pair in both.pairs for cost in pair.behaviours]
    body = render("comparison.html.j2", part="pairs", rows=rows, behaviours=behaviours, both=both)
    lead = f"Chosen on val, compared on {both.split}; differences are the second minus the first, paired over examples."
    return Section("Pairs of checkpoints", body, lead=lead, is_empty=not rows)


def _curves(both: ComparedRuns) -> Section:
    charts: dict[str, Any] = {}
    for name, title in (("accuracy", "accuracy"), ("perplexity", "perplexity")):
        rows = [r for side in (0, 1) for r in _course(both, side, name)]
        if rows:
            charts[name] = two_curves(rows, both.names, title, ".1~%" if name == "accuracy" else ".3~r")
    colours = dict(zip(both.names, COLOURS, strict=True))
    body = render("comparison.html.j2", part="curves", charts=charts, colours=colours, split=both.split)
    return Section("Curves", body, charts, is_empty=not charts)


def _course(both: ComparedRuns, side: int, name: str) -> Rows:
    findings = both.findings[side]
    rows: Rows = []
    for c in findings.trained:
        measured = findings.measured(c.checkpoint.name, both.split, findings.accuracy if name == "accuracy" else NLL)
        shown = measured if name == "accuracy" else perplexity_of(measured)
        if has_value(measured) and c.checkpoint.step > 0:
            unit = "percent" if name == "accuracy" else "perplexity"
            along = {"along": _along(both, c.checkpoint), "checkpoint": c.checkpoint.name, "line": both.names[side]}
            rows.append(row(c.checkpoint.step, shown, unit, **along))
    return rows


def _has_epochs(both: ComparedRuns) -> bool:
    trained = [c.checkpoint for f in both.findings for c in f.trained if c.checkpoint.step > 0]
    return all(c.epoch is not None for c in trained)


def _along(both: ComparedRuns, checkpoint: Checkpoint) -> float:
    """Where it is on the horizontal axis: its epoch where both runs logged epochs, else its step."""
    return float(checkpoint.epoch) if _has_epochs(both) and checkpoint.epoch is not None else float(checkpoint.step)


def two_curves(rows: Rows, names: tuple[str, str], title: str, form: str) -> Spec:
    """A line per run with its 95% intervals."""
    is_epochs = any(r["along"] != r["step"] for r in rows)
    x = channel("along:Q", title="epoch" if is_epochs else "optimizer step", axis=dict(grid=False, tickCount=8))
    domain = domain_of(Estimate(r["value"], r["low"], r["high"]) for r in rows)
    y = value_axis("value", title, domain, form)
    colour = channel("line:N", scale=dict(domain=list(names), range=list(COLOURS)))
    dash = channel("line:N", scale=dict(domain=list(names), range=[[1, 0], [6, 3]]))
    tooltip = [channel(f"{f}:N") for f in ("line", "checkpoint", "text", "n")]
    base = Chart(data(rows))
    bars = base.mark_rule(opacity=0.5).encode(x=x, y=channel("low:Q", title=""), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=1.75).encode(x=x, y=y, color=colour, strokeDash=dash)
    points = base.mark_point(filled=True, size=50, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip)
    return specification([bars, line, points], 220)


def _checkpoints(both: ComparedRuns) -> Section:
    tables: list[Mapping[str, Any]] = []
    for name, f in zip(both.names, both.findings, strict=True):
        rows = [
            {
                "checkpoint": c.checkpoint,
                "regime": c.regime,
                "accuracy": f.measured(c.checkpoint.name, both.split, f.accuracy),
                "nll": f.measured(c.checkpoint.name, both.split, NLL),
            }
            for c in f.trained
        ]
        tables.append({"name": name, "rows": rows, "shipped": f.verdict.shipped})
    body = render("comparison.html.j2", part="checkpoints", tables=tables)
    return Section("Checkpoints", body, lead=f"On {both.split} examples.")
