"""The units of work of an audit, (checkpoint, split, kind), and which of them are to be done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from overmem import store
from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.files import fingerprint
from overmem.models.loading import Skeleton
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split
from overmem.store.imported import answers_all


class UnitKey(NamedTuple):
    """Identifies the units of one split at one checkpoint."""

    checkpoint: str
    split: str


@dataclass(frozen=True)
class WorkUnit:
    """The kinds to observe of one split at one checkpoint; each kind is a unit of work."""

    ref: CheckpointRef
    weights: str
    """Fingerprint of the weights."""
    split: Split
    kinds: tuple[str, ...]
    """`scores`, `samples` or both."""

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        return self.ref.checkpoint.name

    @property
    def key(self) -> UnitKey:
        """The identity of the unit in a run."""
        return UnitKey(self.checkpoint, self.split.name)

    def __str__(self) -> str:
        """`checkpoint-50 val scores and samples`."""
        return f"{self.checkpoint} {self.split.name} {' and '.join(self.kinds)}"


@dataclass(frozen=True)
class ObservationSetup:
    """What all units of one audit share."""

    run: store.Run
    skeleton: Skeleton
    """Loads the weights of every checkpoint."""
    tokenizer: Any
    decoding: Decoding
    token_budget: int
    """Maximum number of padded tokens in one forward pass."""


def pending(
    run: store.Run, refs: Sequence[CheckpointRef], splits: Mapping[str, Split], base: str | None
) -> tuple[list[WorkUnit], int, dict[str, str]]:
    """The units to do, checkpoint by checkpoint; how many are already done; and why some checkpoints are unreadable.

    Args:
        run: the run.
        refs: the checkpoints to observe.
        splits: the splits to observe.
        base: folder or hub id of the model that adapters change.
    """
    work, already_done, failures = [], 0, {}
    for ref in refs:
        name = ref.checkpoint.name
        try:
            weights = fingerprint(ref.path, base)
        except BadCheckpoint as error:
            failures[name] = str(error)
            continue
        for split in splits.values():
            kinds = tuple(k for k in split.kinds if not _is_done_or_imported(run, name, split, k, weights))
            already_done += len(split.kinds) - len(kinds)
            if kinds:
                work.append(WorkUnit(ref, weights, split, kinds))
    return work, already_done, failures


def is_done(run: store.Run, checkpoint: str, split: Split, kind: str, weights: str) -> bool:
    """Whether one kind of a split was observed at a checkpoint with these weights and the current request."""
    return store.is_unit_current(run, checkpoint, split.name, kind, weights=weights, request=split.request)


def _is_done_or_imported(run: store.Run, checkpoint: str, split: Split, kind: str, weights: str) -> bool:
    """Whether a unit is current, or completions of the same questions were imported from another harness's log."""
    if is_done(run, checkpoint, split, kind, weights):
        return True
    ids = [example.id for example in split.examples]
    return kind == "samples" and answers_all(run, checkpoint, split.name, ids, weights)
