"""Reads everything that a report shows: the verdict, the measurements, the trainer's log, plan and recipe."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from overmem import store
from overmem.explorer import compared
from overmem.records import Checkpoint, CheckpointVerdict, Estimate, Measurement, Verdict
from overmem.records.searches import MergeSearch
from overmem.report.commands import commands_of
from overmem.report.flips import Flip, easiest_flip
from overmem.report.tokens import TokenBreakdown, token_breakdown

ACCURACY = ("accuracy", "accuracy")
"""Probe and metric of greedy accuracy."""
DRAWN = ("accuracy", "sample_accuracy")
"""Probe and metric of the mean accuracy of a question's sampled completions."""
NLL = ("perplexity", "nll")
"""Probe and metric of nats per solution token."""


@dataclass(frozen=True)
class Findings:
    """Everything that a section may show. Only the verdict is always present."""

    name: str
    verdict: Verdict
    measurements: tuple[Measurement, ...] = ()
    log: tuple[Mapping[str, Any], ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    """As the audit listed them."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    """What to type to make the page again."""
    questions: Mapping[str, str] = field(default_factory=dict)
    """Id of a training example -> its question."""
    flip: Flip | None = None
    """A question that the best checkpoint answers correctly and the late one does not."""
    date: str = ""
    """When the verdict was made, as `28 Nov 2026`."""
    observed: int = 0
    """Examples that the explorer may show."""
    search: MergeSearch | None = None
    """What the last search for a merge found; None if there was none."""
    tokens: TokenBreakdown | str = "no observations were kept"
    """Which tokens carry the late checkpoint's excess, or why that cannot be shown."""

    @cached_property
    def by_key(self) -> Mapping[tuple[str, str, str, str], tuple[Measurement, ...]]:
        """(checkpoint, split, probe, metric) -> its rows, which differ in their `at`."""
        rows: dict[tuple[str, str, str, str], list[Measurement]] = {}
        for m in self.measurements:
            rows.setdefault((m.checkpoint, m.split, m.probe, m.metric), []).append(m)
        return {key: tuple(same) for key, same in rows.items()}

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that were measured, in the order of the file."""
        return tuple(dict.fromkeys(m.split for m in self.measurements))

    @property
    def chosen_on(self) -> str:
        """The split that regimes and choices were made on: `val`, or `test` where there was no other."""
        return "test" if "test" in self.splits and "val" not in self.splits else "val"

    @property
    def confirmed_on(self) -> str:
        """The split that the choices are compared on: `test`, or `validation` if there was no test split."""
        choices = [self.verdict.recommended or self.verdict.best, *self.verdict.choices]
        is_test = all(c is None or c.measured_on == "test" for c in choices)
        return "test" if is_test else "validation"

    @property
    def compared(self) -> tuple[str, ...]:
        """The best checkpoint of the run, and the one to compare it with: the last over-memorized, else the last."""
        return compared(self.verdict, ())

    @property
    def accuracy(self) -> tuple[str, str]:
        """Probe and metric of the accuracy that the verdict rests on."""
        return DRAWN if self.verdict.knobs.get("accuracy") == "draws" else ACCURACY

    @property
    def trained(self) -> tuple[CheckpointVerdict, ...]:
        """The judged checkpoints in time order, merged ones left out."""
        return tuple(sorted((c for c in self.verdict.checkpoints if not c.checkpoint.merged_from), key=_step))

    @property
    def lowest(self) -> str | None:
        """The checkpoint of the lowest nll on the split that choices were made on; None where none was scored."""
        scored = [(e.value, c.checkpoint.step, c.checkpoint.name) for c, e in self._nlls() if e.value is not None]
        return min(scored)[2] if scored else None

    def _nlls(self) -> list[tuple[CheckpointVerdict, Estimate]]:
        measured = [(c, self.measured(c.checkpoint.name, self.chosen_on, NLL)) for c in self.trained]
        return [(c, e) for c, e in measured if has_value(e)]

    @cached_property
    def unjudged(self) -> tuple[Checkpoint, ...]:
        """Checkpoints that were measured and not judged as part of the trajectory: merged ones, mostly."""
        judged = {c.checkpoint.name for c in self.trained}
        measured = {m.checkpoint: Checkpoint(m.checkpoint, m.step) for m in self.measurements}
        audited = {c.name: c for c in self.checkpoints if c.name in measured}
        merged = {c.checkpoint.name: c.checkpoint for c in self.verdict.checkpoints}
        return tuple(c for name, c in (measured | audited | merged).items() if name not in judged)

    def measured(self, checkpoint: str, split: str, what: tuple[str, str], **at: float | int | str) -> Estimate:
        """What a probe measured under a metric's name; no value and the reason where there is no row.

        Args:
            checkpoint: its name.
            split: its name.
            what: probe and metric.
            **at: what the row's `at` must hold; of several such rows, the first.
        """
        rows = self.by_key.get((checkpoint, split, *what), ())
        row = next((m for m in rows if at.items() <= m.at.items()), None)
        return estimate_of_row(row) if row is not None else Estimate(None, note=f"not measured on {split}")

    def checkpoint(self, name: str | None) -> Checkpoint | None:
        """The checkpoint of that name, where one was judged or measured."""
        all_checkpoints = [*(c.checkpoint for c in self.verdict.checkpoints), *self.unjudged]
        return next((c for c in all_checkpoints if c.name == name), None)


def read_findings(run: store.Run) -> Findings:
    """Everything that the run directory holds.

    Raises:
        BadRequest: there is no verdict, or a file is of another schema version.
    """
    has_plan = run.plan_path.is_file()
    train = run.examples_path("train")
    verdict = store.read_verdict(run)
    plan = store.to_jsonable(store.read_plan(run)) if has_plan else {}
    findings = Findings(
        name=run.root.resolve().name,
        verdict=verdict,
        commands=commands_of(run, plan, verdict),
        measurements=tuple(store.read_measurements(run)) if run.measurements_path.is_file() else (),
        log=tuple(store.read_log_history(run)),
        checkpoints=store.read_checkpoints(run) if has_plan else (),
        plan=plan,
        recipe=store.read_recipe(run),
        search=store.read_search(run),
        date=f"{datetime.fromtimestamp(run.verdict_path.stat().st_mtime, UTC):%-d %b %Y}",
        questions={e.id: e.question for e in store.read_examples(run, "train")} if train.is_file() else {},
    )
    if len(findings.compared) == 2:
        splits = [s for s in findings.splits if s == "test" or s.startswith(("test+", "ood-"))]
        findings = replace(findings, flip=easiest_flip(run, *findings.compared, splits or [findings.chosen_on]))
    late, lowest = findings.checkpoint(findings.compared[-1] if findings.compared else None), findings.lowest
    reference = findings.checkpoint(lowest)
    if late is None or reference is None:
        return findings
    return replace(findings, tokens=token_breakdown(run, late, reference, findings.chosen_on))


def estimate_of_row(row: Measurement) -> Estimate:
    """A measurement as value, interval and n."""
    return Estimate(row.value, row.low, row.high, row.n, row.note)


def has_value(estimate: Estimate) -> bool:
    """Whether there is a number to show."""
    return estimate.value is not None and math.isfinite(estimate.value)


def _step(verdict: CheckpointVerdict) -> int:
    return verdict.checkpoint.step
