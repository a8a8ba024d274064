"""The judgement of a run, of its checkpoints and of the choices among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from overmem.records.limits import Limits
from overmem.records.measurements import Estimate
from overmem.records.observations import SCHEMA, Checkpoint

NOT_MEASURED = Estimate(None, note="not measured")


@dataclass(frozen=True, kw_only=True)
class CheckpointTests:
    """What the tests show at one checkpoint: its regime follows from this and from nothing else."""

    measured_nll: bool = False
    measured_accuracy: bool = False
    costly: bool = False
    """The nll is above its minimum by more than the limit, and later than it."""
    cheap: bool = False
    """The nll is within the limit of its minimum."""
    kept: bool = False
    """Accuracy is within the margin of the plateau of the other checkpoints."""
    lower: bool = False
    """Accuracy is below that plateau."""
    lost: bool = False
    """Accuracy is below it by more than the margin."""
    climbing: bool = False
    """Accuracy has risen by more than the margin over the last third of the time since the trough of the nll."""
    falls_short: bool = False
    """The estimate of accuracy is below the plateau by more than the margin."""
    still_falling: bool = False
    """The nll is above its later minimum by more than the limit."""
    memorized: bool | None = None
    """More than half of the nll that training rows lost is memory; False: not shown; None: not measured."""
    not_memorized: bool = False
    """Less than half of it is."""
    unlike: bool = False
    """Val and train are not one distribution, so memory cannot be told from style."""
    stretch_accuracy: float | None = None
    """Accuracy of the checkpoint and the neighbours that it is pooled with."""
    before_best: bool = False
    """Most of the plateau comes later."""
    before_minimum: bool = False
    """The minimum of the nll comes later."""
    solvable: bool = True
    """The plateau is above the margin: there is an accuracy to keep."""
    choices_at_chance: int | None = None
    """Where nothing was learned: the number of choices among which the whole run guesses; else None."""
    reference_accuracy: float | None = None
    """Accuracy of the plateau of the other checkpoints."""
    worst_gap: float | None = None
    """Lower bound of `accuracy_gap` at the level of the test: accuracy is kept where it is above -margin."""
    detectable_gap: float | None = None
    """Smallest loss of accuracy that as many examples show four times out of five."""
    examples_for_accuracy: int | None = None
    """How many would decide whether accuracy is kept, four times out of five; None: it is decided, or none would."""
    examples_for_nll: int | None = None
    """The same of perplexity."""
    note: str = ""
    """Why something was not measured or not judged."""

    @property
    def accuracy_is_open(self) -> bool:
        """Whether accuracy is neither shown to be kept nor shown to have a name for its loss."""
        too_early = self.lower and self.before_best and self.falls_short
        return self.measured_accuracy and not (self.kept or self.lost or too_early)

    @property
    def nll_is_open(self) -> bool:
        """Whether perplexity is neither shown to be costly nor shown not to be."""
        return self.measured_nll and not (self.costly or self.cheap)


@dataclass(frozen=True)
class Leaning:
    """The regime that is likeliest where the tests decide none."""

    regime: str
    probability: float
    """Calibrated: of the checkpoints that lean with probability p, a share p is in that regime."""


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
    """One-sided p of a rise of no more than the limit, asked from the last checkpoint backwards."""
    p_kept: float | None
    """One-sided p of a loss of the margin or more against some stretch of the run."""
    reason: str = ""
    """The decision in one sentence; empty until it is put into words."""
    tests: CheckpointTests = CheckpointTests()
    memory: Estimate = NOT_MEASURED
    """Share of the fall of the training rows' nll, against the base model's, that val's nll does not share."""
    leaning: Leaning | None = None
    """Where the regime is `undecided`: the likeliest one, if any is likely enough to be named."""

    @property
    def is_judged(self) -> bool:
        """Whether both perplexity and accuracy were measured."""
        return self.nll.value is not None and self.accuracy.value is not None


@dataclass(frozen=True)
class Onset:
    """When over-memorization begins: where it is first shown, and when the limits were crossed."""

    checkpoint: str
    """The first over-memorized checkpoint that no healthy one follows."""
    step: Estimate = NOT_MEASURED
    """Of the crossing, between checkpoints, in optimizer steps."""
    epoch: Estimate = NOT_MEASURED
    cumulative_lr: Estimate = NOT_MEASURED
    """In the sum of the learning rates of all optimizer steps so far."""


@dataclass(frozen=True)
class Severity:
    """How bad the last over-memorized checkpoint is, against the checkpoint of lowest perplexity."""

    checkpoint: str
    minimum: str
    """The checkpoint of lowest perplexity."""
    excess: Estimate
    """Nats per token above it."""
    scale_share: Estimate = NOT_MEASURED
    """Share of the excess that one temperature for all tokens would undo."""
    agree_share: Estimate = NOT_MEASURED
    """Share of the excess on tokens where the label is the argmax; negative where these grew likelier."""


@dataclass(frozen=True)
class Choice:
    """What one selection rule picks on `val`, and what that is worth on `test`."""

    rule: str
    checkpoint: str | None
    accuracy: Estimate
    nll: Estimate
    regret: Estimate
    """Test accuracy of the recommended checkpoint minus that of this choice (paired); positive: this choice costs."""
    reason: str = ""
    measured_on: str = "test"
    """Where its numbers come from: `test`, or what it was chosen on too: `val`, or `log` (the trainer's own curves)."""

    @property
    def is_confirmed(self) -> bool:
        """Whether its accuracy is on examples that had no part in the choice."""
        return self.accuracy.value is not None and self.measured_on == "test"


@dataclass(frozen=True)
class Consequence:
    """One consequence of over-memorization, measured against the recommended checkpoint."""

    name: str
    """`robustness (<shift>)`, `ood-<name>`, `pass@k`, ...: as the probe names it."""
    checkpoint: str
    difference: Estimate
    """In the metric's own unit; positive is worse."""
    p: float | None
    """Two-sided, Holm-adjusted over all costs."""
    confirmed: bool
    sentence: str = "it is worse by {}"
    """What the difference says; `{}` takes its size."""
    is_share: bool = False
    """Whether it is a difference of shares, shown in points; else it has a unit of its own."""
    matters: float | None = None
    """The smallest difference that matters, in the same unit; None where nobody has said."""
    is_privacy: bool = False
    """Whether it is what an attacker learns about training rows: memory itself, and no harm to answers."""
    absent: bool = False
    """Whether it is shown to be smaller than matters, by its 95% interval (equivalence). Neither this nor `confirmed`:
    not shown, and not excluded either."""

    @property
    def state(self) -> str:
        """`confirmed`, `absent` or `not shown`."""
        return "confirmed" if self.confirmed else "absent" if self.absent else "not shown"


@dataclass(frozen=True)
class Verdict:
    """The answer: which regime, since when, how bad, what to ship."""

    regime: str
    """Of the run: that of its last trained checkpoint, one of `overmem.records.REGIMES`."""
    headline: str
    sentences: tuple[str, ...]
    checkpoints: tuple[CheckpointVerdict, ...]
    onset: Onset | None
    """None where no checkpoint is over-memorized at the end of the run."""
    severity: Severity | None
    """None where no checkpoint is over-memorized."""
    recommended: Choice | None
    """The checkpoint to ship; None where none is: this field alone decides it, on every surface."""
    choices: tuple[Choice, ...]
    """What the other rules pick."""
    best: Choice | None = None
    """The best checkpoint of the run, which regrets and costs are counted from; also where none is worth shipping."""
    costs: tuple[Consequence, ...] = ()
    harm_confirmed: bool = False
    """Whether at least one of `costs` is confirmed."""
    privacy: tuple[Consequence, ...] = ()
    """What training rows give away more than at the checkpoint that costs are measured against."""
    warnings: tuple[str, ...] = ()
    evidence: str = "observations"
    """`observations`, or `curves only` where no model was at hand."""
    accuracy_name: str = "accuracy"
    """What stands as accuracy: `accuracy`, or the logged score that was judged in its place."""
    limits: Limits = field(default_factory=Limits)
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """Every option of `diagnose` that the verdict was made with."""
    schema: int = SCHEMA

    HEADINGS: ClassVar[tuple[str, ...]] = ("checkpoint", "nll per token", "accuracy", "n", "regime")

    @property
    def shipped(self) -> str | None:
        """Name of the checkpoint to ship; None where none is."""
        return None if self.recommended is None else self.recommended.checkpoint

    @property
    def best_of_run(self) -> str | None:
        """Name of the best checkpoint of the run, worth shipping or not."""
        best = self.recommended or self.best
        return None if best is None else best.checkpoint

    @property
    def headings(self) -> tuple[str, ...]:
        """`HEADINGS` as they are shown: a log knows of a loss only, and some of another score than accuracy."""
        names = {"accuracy": self.accuracy_name} | ({"nll per token": "loss"} if self.evidence == "curves only" else {})
        return tuple(names.get(heading, heading) for heading in self.HEADINGS)

    def rows(self) -> list[tuple[str, ...]]:
        """One row of text per checkpoint, under `HEADINGS`; the recommended one has an arrow."""
        return [
            (
                f"{v.checkpoint.name}{' ←' if v.checkpoint.name == self.shipped else ''}",
                _interval(v.nll),
                _interval(v.accuracy),
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
        """The same for a notebook."""
        table = [self.headings, ("---",) * len(self.HEADINGS), *self.rows()]
        remarks = [*self.sentences, *(f"Warning: {warning}" for warning in self.warnings)]
        lines = ["| " + " | ".join(map(_escaped, row)) + " |" for row in table]
        return "\n".join([f"**{_escaped(self.headline)}**", "", *(f"- {_escaped(s)}" for s in remarks), "", *lines, ""])


def _interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    value, low, high = (round(x, 3) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _escaped(text: str) -> str:
    if text == "---":
        return text
    for mark in "\\`*_[]<>|#$":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
