"""What a tracker gets: the verdict as text and numbers, curves over steps, and the examples that changed."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from overmem import store
from overmem.explorer import compared
from overmem.records import Example, Measurement, Samples, SplitName, Verdict
from overmem.wording.markdown import markdown

Row: TypeAlias = tuple[str, ...]

METRICS: Final = {("accuracy", "accuracy"): "accuracy", ("perplexity", "nll"): "nll"}
"""Probe and metric -> name of the curve."""
MOST_EXAMPLES = 200
_CHANGES = {(True, False): "lost", (False, True): "won", (False, False): "wrong at both", (True, True): "right at both"}


@dataclass(frozen=True)
class TrackedVerdict:
    """A verdict as trackers log it."""

    name: str
    """Of the run."""
    folder: Path
    """Where a tracker that writes files puts them."""
    step: int
    """The last optimizer step that the verdict knows."""
    text: str
    """The verdict in Markdown."""
    summary: Mapping[str, str | float]
    """Name -> a fact of the verdict. Facts that are not known are left out."""
    curves: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Optimizer step -> name of a curve -> value."""
    columns: Row = ()
    """Headings of `examples`."""
    examples: tuple[Row, ...] = ()
    """Questions with the completions of two checkpoints; those that went from right to wrong first."""

    @property
    def numbers(self) -> dict[str, float]:
        """The facts that are numbers."""
        return {name: value for name, value in self.summary.items() if not isinstance(value, str)}

    @property
    def words(self) -> dict[str, str]:
        """The facts that are words."""
        return {name: value for name, value in self.summary.items() if isinstance(value, str)}


def tracked_run(run: store.Run, verdict: Verdict) -> TrackedVerdict:
    """A judged run; curves and examples as far as it was audited."""
    measurements = store.read_measurements(run) if run.measurements_path.is_file() else []
    trained = {c.checkpoint.name: c.checkpoint.step for c in verdict.checkpoints if not c.checkpoint.merged_from}
    pair = compared(verdict, ())
    columns, examples = _examples(run, *pair) if len(pair) == 2 and run.plan_path.is_file() else ((), ())
    return TrackedVerdict(
        name=run.root.resolve().name,
        folder=run.home / "tensorboard",
        step=max(trained.values(), default=0),
        text=markdown(verdict),
        summary=summary(verdict),
        curves=_curves(measurements, trained) if measurements else _judged_curves(verdict),
        columns=columns,
        examples=examples,
    )


def summary(verdict: Verdict) -> dict[str, str | float]:
    """The facts of a verdict, named `overmem/...`."""
    best = verdict.recommended or verdict.best
    facts: dict[str, str | float | None] = {
        "regime": verdict.regime,
        "headline": verdict.headline,
        "recommended": verdict.shipped,
        "best_of_run": verdict.best_of_run,
        "harm_confirmed": float(verdict.harm_confirmed),
        "onset_step": verdict.onset.step.value if verdict.onset else None,
        "onset_step_low": verdict.onset.step.low if verdict.onset else None,
        "onset_step_high": verdict.onset.step.high if verdict.onset else None,
        "best_accuracy": best.accuracy.value if best else None,
        "best_accuracy_n": float(best.accuracy.n) if best and best.accuracy.n else None,
        "best_nll": best.nll.value if best else None,
        "last_excess": verdict.severity.excess.value if verdict.severity else None,
        "costs_confirmed": float(sum(c.confirmed for c in verdict.costs)),
        "costs_tested": float(len(verdict.costs)),
    }
    return {f"overmem/{name}": value for name, value in facts.items() if _is_known(value)}  # type: ignore[misc]


def changed_examples(split: str, examples: Iterable[Example], before: Samples, after: Samples) -> list[tuple[str, Row]]:
    """The greedy completions of two checkpoints side by side: what changed, and a row of the table."""
    first, second = _greedy(before), _greedy(after)
    rows: list[tuple[str, Row]] = []
    for example in examples:
        if example.id in first and example.id in second:
            (text, is_right), (later, still_right) = first[example.id], second[example.id]
            change = _CHANGES[is_right, still_right]
            rows.append((change, (split, example.id, change, example.question, example.answer, text, later)))
    return rows


def examples_table(rows: Iterable[tuple[str, Row]], good: str, late: str) -> tuple[Row, tuple[Row, ...]]:
    """Headings and rows, those that went from right to wrong first, then the other way; no more than a table shows."""
    order = list(_CHANGES.values())
    ordered = sorted(rows, key=lambda row: order.index(row[0]))[:MOST_EXAMPLES]
    return ("split", "id", "change", "question", "answer", good, late), tuple(row for _, row in ordered)


def _examples(run: store.Run, good: str, late: str) -> tuple[Row, tuple[Row, ...]]:
    rows: list[tuple[str, Row]] = []
    for split in store.read_plan(run).splits:
        if SplitName.parse(split).attack or not all(
            run.unit_path(name, split, "samples").is_file() for name in (good, late)
        ):
            continue
        before, after = (store.read_samples(run, name, split) for name in (good, late))
        rows += changed_examples(split, store.read_examples(run, split), before, after)
    return examples_table(rows, good, late)


def _greedy(samples: Samples) -> dict[str, tuple[str, bool]]:
    rows = zip(samples.example_ids, samples.draw, samples.text, samples.correct, strict=True)
    return {name: (text, bool(correct)) for name, draw, text, correct in rows if draw == 0}


def _curves(measurements: Sequence[Measurement], steps: Mapping[str, int]) -> dict[int, dict[str, float]]:
    """Accuracy and nll of every split, with the ends of their intervals."""
    curves: dict[int, dict[str, float]] = {}
    for m in measurements:
        metric = METRICS.get((m.probe, m.metric))
        if metric is None or m.checkpoint not in steps or SplitName.parse(m.split).attack or m.at:
            continue
        name = f"overmem/{_allowed(m.split)}/{metric}"
        values = {name: m.value, f"{name}_low": m.low, f"{name}_high": m.high}
        curves.setdefault(steps[m.checkpoint], {}).update({k: v for k, v in values.items() if _is_known(v)})  # type: ignore[misc]
    return dict(sorted(curves.items()))


def _judged_curves(verdict: Verdict) -> dict[int, dict[str, float]]:
    """What a verdict from a trainer's log was made of."""
    curves = {}
    for c in verdict.checkpoints:
        values = {"overmem/val/accuracy": c.accuracy.value, "overmem/val/nll": c.nll.value}
        curves[c.checkpoint.step] = {name: value for name, value in values.items() if value is not None}
    return curves


def _allowed(split: str) -> str:
    """A split's name in the letters that every tracker allows: `test+typos` is `test.typos`."""
    return re.sub(r"[^\w.\-]", ".", split)


def _is_known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
