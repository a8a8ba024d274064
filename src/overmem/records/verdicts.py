"""Records of a verdict: on a run, on its checkpoints, and on the choices among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from overmem.records.digits import decimals_of, with_interval
from overmem.records.limits import Limits
from overmem.records.measurements import Estimate
from overmem.records.observations import SCHEMA, Checkpoint

NOT_MEASURED = Estimate(None, note="not measured")


@dataclass(frozen=True, kw_only=True)
class CheckpointTests:
    """The results of the tests at one checkpoint, which determine its regime."""

    measured_nll: bool = False
    measured_accuracy: bool = False
    costly: bool = False
    """Shown: the nll exceeds its earlier minimum by more than the limit."""
    cheap: bool = False
    """Shown: the nll does not exceed its minimum by more than the limit."""
    kept: bool = False
    """Shown: accuracy is within the margin of the plateau of the other checkpoints."""
    lower: bool = False
    """Shown: accuracy is below that plateau."""
    lost: bool = False
    """Shown: accuracy is below it by more than the margin."""
    climbing: bool = False
    """Accuracy has risen by more than the margin over the last third of the time since the trough of the nll."""
    falls_short: bool = False
    """The estimate of accuracy is below the plateau by more than the margin."""
    still_falling: bool = False
    """The nll is above its later minimum by more than the limit."""
    memorized: bool | None = None
    """Shown: more than half of the fall of the training rows' nll is memorization. None if not measured."""
    not_memorized: bool = False
    """Shown: less than half of it is."""
    unlike: bool = False
    """Val and train have different distributions, so memorization cannot be distinguished from style."""
    stretch_accuracy: float | None = None
    """Accuracy pooled over the checkpoint and its neighbours."""
    before_best: bool = False
    """Most of the plateau is later."""
    before_minimum: bool = False
    """The minimum of the nll is later."""
    nll_limit: float | None = None
    """The rise above the trend's minimum that is costly, in nats per token; None before that minimum."""
    in_dip: bool = False
    """Accuracy is lower than before and after: it came back, so nothing is lost."""
    solvable: bool = True
    """The plateau is above the margin, so accuracy can be lost."""
    chance: float = 0.0
    """Accuracy of guessing, or of always giving one answer; 0 where answers are open or it is not known."""
    choices_at_chance: int | None = None
    """If the whole run guesses: the number of choices that it guesses among. Otherwise None."""
    reference_accuracy: float | None = None
    """Accuracy of the plateau of the other checkpoints."""
    worst_gap: float | None = None
    """Lower bound of `accuracy_gap` at the level of the test: accuracy is kept if it is above -margin."""
    detectable_gap: float | None = None
    """Smallest loss of accuracy that this number of examples detects with a power of 80%."""
    examples_for_accuracy: int | None = None
    """Examples that decide accuracy with a power of 80%; None if it is decided, or never will be."""
    examples_for_nll: int | None = None
    """The same for perplexity."""
    note: str = ""
    """Why something was not measured or not judged."""

    @property
    def accuracy_is_open(self) -> bool:
        """Whether accuracy is neither shown to be kept, nor to be lost, nor to be still below its best."""
        too_early = self.lower and self.before_best and self.falls_short
        return self.measured_accuracy and not (self.kept or self.lost or too_early)

    @property
    def nll_is_open(self) -> bool:
        """Whether perplexity is neither shown to be costly nor shown not to be."""
        return self.measured_nll and not (self.costly or self.cheap)


@dataclass(frozen=True)
class Leaning:
    """The likeliest regime of a checkpoint that the tests leave undecided."""

    regime: str
    probability: float
    """Calibrated: of the checkpoints with probability p, a share p is in that regime."""


@dataclass(frozen=True)
class CheckpointVerdict:
    """The regime of one checkpoint and every quantity that decided it."""

    checkpoint: Checkpoint
    regime: str
    """One of `overmem.records.REGIMES`."""
    nll: Estimate
    accuracy: Estimate
    excess: Estimate
    """Nats per token above the perplexity minimum."""
    accuracy_gap: Estimate
    """Accuracy minus that of the plateau of the other checkpoints."""
    p_costly: float | None
    """One-sided p of a rise of no more than the limit, tested from the last checkpoint backwards."""
    p_kept: float | None
    """One-sided p of a loss of the margin or more against some stretch of the run."""
    reason: str = ""
    """The decision in one sentence; empty before wording."""
    tests: CheckpointTests = CheckpointTests()
    memory: Estimate = NOT_MEASURED
    """Share of the fall of the training rows' nll since the base model that val does not have too."""
    leaning: Leaning | None = None
    """For an `undecided` checkpoint: the likeliest regime, if it is likely enough."""

    @property
    def is_judged(self) -> bool:
        """Whether both perplexity and accuracy were measured."""
        return self.nll.value is not None and self.accuracy.value is not None


@dataclass(frozen=True)
class Onset:
    """When over-memorization begins: the checkpoint where it is first shown, and when the limits were crossed."""

    checkpoint: str
    """The first over-memorized checkpoint that no healthy one follows."""
    step: Estimate = NOT_MEASURED
    """Optimizer step at which the limits were crossed, interpolated between checkpoints."""
    epoch: Estimate = NOT_MEASURED
    """The same in epochs."""
    cumulative_lr: Estimate = NOT_MEASURED
    """The same in cumulative learning rate."""


@dataclass(frozen=True)
class Severity:
    """How bad the last over-memorized checkpoint is, compared with the checkpoint of lowest perplexity."""

    checkpoint: str
    minimum: str
    """The checkpoint of lowest perplexity."""
    excess: Estimate
    """Nats per token above it."""
    scale_share: Estimate = NOT_MEASURED
    """Share of the excess that temperature scaling would remove."""
    agree_share: Estimate = NOT_MEASURED
    """Share of the excess on tokens where the label is the argmax; negative if these became likelier."""


@dataclass(frozen=True)
class Choice:
    """The checkpoint that one selection rule picks on `val`, and its results on `test`."""

    rule: str
    checkpoint: str | None
    accuracy: Estimate
    nll: Estimate
    regret: Estimate
    """Test accuracy of the recommended checkpoint minus that of this choice (paired); positive: this choice costs."""
    reason: str = ""
    measured_on: str = "test"
    """The source of its numbers: `test`, or the data it was chosen on: `val`, or `log` (the trainer's log)."""

    @property
    def is_confirmed(self) -> bool:
        """Whether its accuracy was measured on examples that were not used for the choice."""
        return self.accuracy.value is not None and self.measured_on == "test"


@dataclass(frozen=True)
class Consequence:
    """One consequence of over-memorization, measured against the recommended checkpoint."""

    name: str
    """Name in the probe: `robustness (<shift>)`, `ood-<name>`, `pass@k`, ..."""
    checkpoint: str
    difference: Estimate
    """In the unit of the metric; positive is worse."""
    p: float | None
    """Two-sided, Holm-adjusted over all costs."""
    confirmed: bool
    sentence: str = "it is worse by {}"
    """What the difference means; `{}` is replaced by its size."""
    is_share: bool = False
    """Whether it is a difference of shares, shown in percentage points."""
    matters: float | None = None
    """The smallest difference that matters, in the same unit; None if there is no limit."""
    is_privacy: bool = False
    """Whether it is a leak of training rows, which does not harm answers."""
    absent: bool = False
    """Whether its 95% interval shows it to be smaller than `matters`. If neither this nor `confirmed`, it is open."""

    @property
    def state(self) -> str:
        """`confirmed`, `absent` or `not shown`."""
        return "confirmed" if self.confirmed else "absent" if self.absent else "not shown"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run: its regime, onset and severity, and which checkpoint to ship."""

    regime: str
    """The regime of the last trained checkpoint, one of `overmem.records.REGIMES`."""
    headline: str
    sentences: tuple[str, ...]
    checkpoints: tuple[CheckpointVerdict, ...]
    onset: Onset | None
    """None if no checkpoint is over-memorized at the end of the run."""
    severity: Severity | None
    """None if no checkpoint is over-memorized."""
    recommended: Choice | None
    """The checkpoint to ship, or None. Everything that overmem shows uses this field."""
    choices: tuple[Choice, ...]
    """The picks of the other rules."""
    best: Choice | None = None
    """The best checkpoint of the run, even if it is not worth shipping; the reference of regrets and costs."""
    costs: tuple[Consequence, ...] = ()
    harm_confirmed: bool = False
    """Whether at least one of `costs` is confirmed."""
    privacy: tuple[Consequence, ...] = ()
    """Leaks of training rows that are larger than at the checkpoint costs are measured against."""
    warnings: tuple[str, ...] = ()
    evidence: str = "observations"
    """`observations`, or `curves only` for a verdict on a trainer's log."""
    accuracy_name: str = "accuracy"
    """`accuracy`, or the name of the logged score that was judged instead."""
    limits: Limits = field(default_factory=Limits)
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """The options of `diagnose`."""
    rule: int = 0
    """The version of the rule that made it, `RULE` at that time; 0 for one that was made before rules were numbered."""
    schema: int = SCHEMA

    HEADINGS: ClassVar[tuple[str, ...]] = ("checkpoint", "nll per token", "accuracy", "n", "regime")

    @property
    def shipped(self) -> str | None:
        """Name of the checkpoint to ship; None if there is none."""
        return None if self.recommended is None else self.recommended.checkpoint

    @property
    def best_of_run(self) -> str | None:
        """Name of the best checkpoint of the run, worth shipping or not."""
        best = self.recommended or self.best
        return None if best is None else best.checkpoint

    @property
    def headings(self) -> tuple[str, ...]:
        """`HEADINGS` for display: a log has a loss instead of an nll, and may have another score than accuracy."""
        names = {"accuracy": self.accuracy_name} | ({"nll per token": "loss"} if self.evidence == "curves only" else {})
        return tuple(names.get(heading, heading) for heading in self.HEADINGS)

    @cached_property
    def nll_decimals(self) -> int:
        """Decimals that tell the nlls of the run apart."""
        return decimals_of(*(v.nll.value for v in self.checkpoints))

    def rows(self) -> list[tuple[str, ...]]:
        """One row of text per checkpoint, under `HEADINGS`; the recommended one has an arrow."""
        return [
            (
                f"{v.checkpoint.name}{' ←' if v.checkpoint.name == self.shipped else ''}",
                with_interval(v.nll, self.nll_decimals),
                with_interval(v.accuracy),
                str(v.accuracy.n or v.nll.n or "–"),
                v.regime,
            )
            for v in self.checkpoints
        ]

    def __repr__(self) -> str:
        """One line; `print` shows the verdict in words."""
        chosen = self.recommended.checkpoint if self.recommended else None
        return f"Verdict(regime={self.regime!r}, recommended={chosen!r}, {len(self.checkpoints)} checkpoints)"

    def __str__(self) -> str:
        """Headline, sentences, warnings and the table of checkpoints, as plain text."""
        table = [self.headings, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        remarks = [f"- {sentence}" for sentence in self.sentences] + [f"! {warning}" for warning in self.warnings]
        return "\n".join([self.headline, *remarks, "", *(line.rstrip() for line in lines)])

    def _repr_markdown_(self) -> str:
        """The same as Markdown, for notebooks."""
        table = [self.headings, ("---",) * len(self.HEADINGS), *self.rows()]
        remarks = [*self.sentences, *(f"Warning: {warning}" for warning in self.warnings)]
        lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in table]
        return "\n".join([f"**{_escaped(self.headline)}**", "", *(f"- {_escaped(s)}" for s in remarks), "", *lines, ""])


def _escaped(text: str) -> str:
    for mark in "" if text == "---" else "\\`*_[]<>|#$":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
