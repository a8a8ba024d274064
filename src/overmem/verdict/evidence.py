"""What a run is judged from: curves of its examples, or only the curve that its trainer logged."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from overmem.records import Checkpoint, Consequence, Curves, Estimate
from overmem.records.verdicts import NOT_MEASURED
from overmem.verdict.severity import Shares

SameDistribution: TypeAlias = Literal["check", "yes", "no"]


@dataclass(frozen=True)
class LoggedCurve:
    """One evaluation per checkpoint, in time order; no example was seen."""

    checkpoints: tuple[Checkpoint, ...]
    nll: Float[np.ndarray, " checkpoints"]
    """The logged evaluation loss, in nats per token; NaN where there is none."""
    accuracy: Float[np.ndarray, " checkpoints"]
    """The logged accuracy as a fraction; NaN where there is none."""
    n: int | None = None
    """Examples behind the accuracy, where it is known."""
    n_is_inferred: bool = False
    """Whether `n` was read off the digits of the accuracies."""
    diverged: str | None = None
    """Checkpoint from which on no usable loss was logged; None where the run did not diverge."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that one run is judged from."""

    val: Curves | LoggedCurve
    """What checkpoints are judged and chosen on."""
    test: Curves | None = None
    """What the choice is confirmed on."""
    train: Curves | None = None
    """The fixed sample of training rows."""
    merged_val: Curves | None = None
    """`val` with the merged checkpoints; None where no merge was audited."""
    merged_test: Curves | None = None
    on_disk: Collection[str] | None = None
    """Names of the checkpoints that may be recommended; None: all."""
    searched: Collection[str] = ()
    """Names of the merges that a search chose on val; they are judged on test."""
    confirmed: Mapping[str, str] = field(default_factory=dict)
    """Merge that a search has shown to be better on test -> the single checkpoint that it is better than."""
    trainers_choice: str | None = None
    """The trainer's own best checkpoint (`best_model_checkpoint`), where it names one."""
    same_distribution: SameDistribution = "check"
    """Whether val comes from the distribution of the training rows: checked, or declared by the user."""
    blind: Estimate = NOT_MEASURED
    """AUROC of predicting from the words of a solution alone whether it is a training row."""
    consequences: Callable[[str, str, float], tuple[Consequence, ...]] | None = None
    """What the second of two checkpoints does worse than the first, with the luck of accuracies; None where nothing but
    curves was observed."""
    chance: float = 0.0
    """Accuracy of guessing, or of always giving one answer; 0 where answers are open."""
    shares: Shares | None = None
    """The shares of a rise of the nll; None where no token was seen."""
