"""The plan of an audit: what is observed, and a hash of each request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overmem.records.observations import SCHEMA, Checkpoint

CALLBACK = "OvermemCallback"
"""`options["by"]` of a plan written by the callback; the plan of an audit has no such key."""


@dataclass(frozen=True)
class PlannedSplit:
    """One split of a plan."""

    request: str
    """Hash of everything except the weights that determines the observations of this split."""
    n: int = 0
    """Number of examples."""
    truncated: int = 0
    """Number of examples that do not fit the context window; they are not observed."""


@dataclass(frozen=True)
class Stopping:
    """Why an audit `--until decided` stopped at its number of questions."""

    planned: int
    """Maximum number of val questions."""
    asked: int
    """Number of val questions when it stopped."""
    looks: int
    """How often the run was judged."""
    regime: str
    """Regime of the run at the last look; `undecided` if all questions did not decide it."""
    dropped: Mapping[str, int]
    """Checkpoints that were dropped early -> number of questions each answered."""
    alpha: float
    """Error rate of all looks together."""


@dataclass(frozen=True)
class Plan:
    """What is observed of a run: the content of `plan.json`.

    Mappings hold JSON values only, so that a plan is equal after writing and reading.
    """

    splits: Mapping[str, PlannedSplit]
    """Split name -> its request, in the order of observation."""
    checkpoints: tuple[Checkpoint, ...]
    """The base, the trained checkpoints in time order, the merged ones."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `audit`, including defaults that later audits of the same data reuse."""
    base: str | None = None
    """Folder or hub id of the base model, if known."""
    data: Mapping[str, Any] | None = None
    """Where the examples come from; None if the run has the only copy of them."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """How completions are sampled."""
    template: str | None = None
    """Prompt with {question} in it; None for the tokenizer's own."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> version."""
    carved_splits: tuple[str, ...] = ()
    """Splits taken from the training rows of a source, all of which the run may have been trained on."""
    schema: int = SCHEMA

    @property
    def requests(self) -> dict[str, str]:
        """Split name -> hash of its request."""
        return {name: split.request for name, split in self.splits.items()}

    @property
    def stopping(self) -> Stopping | None:
        """Why the audit stopped early; None without `--until`."""
        record = self.options.get("stopping")
        return None if record is None else Stopping(**record)
