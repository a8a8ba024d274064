"""Two audited runs, on the examples that every checkpoint of both has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Checkpoint, Snapshot


@dataclass(frozen=True)
class Side:
    """One run: its checkpoints, with the nll and the correctness of every example at each."""

    run: store.Run
    name: str
    checkpoints: tuple[Checkpoint, ...]
    nll: Float[np.ndarray, "checkpoints examples"]
    """Summed solution nll."""
    correct: Float[np.ndarray, "checkpoints examples"]
    """Greedy correctness."""

    @cached_property
    def base(self) -> Snapshot | None:
        """The base model's observations, where it was audited."""
        base = next((c for c in store.read_checkpoints(self.run) if c.step == 0), None)
        return None if base is None else store.read_snapshot(self.run, base)


@dataclass(frozen=True)
class Sides:
    """Both runs on the same examples."""

    a: Side
    b: Side
    tokens: Float[np.ndarray, " examples"]
    """Solution tokens of each example."""


def sides(runs: tuple[store.Run, store.Run], split: str) -> Sides:
    """Both runs on the examples of a split that they share.

    Raises:
        BadRequest: a run has no checkpoint with the split, they share no example, or their tokens differ.
    """
    tables = [_table(run, split) for run in runs]
    shared = [i for i in tables[0].tokens if i in tables[1].tokens]
    if not shared:
        raise BadRequest(f"{runs[0].root} and {runs[1].root} share no example of split {split!r}, so nothing is paired")
    counts = [np.array([table.tokens[i] for i in shared], dtype=np.float64) for table in tables]
    if (counts[0] != counts[1]).any():
        raise BadRequest(
            f"{runs[0].root} and {runs[1].root} split the same solutions into different tokens, so their nats per "
            "token cannot be compared"
        )
    a, b = (_side(run, name, table, shared) for run, name, table in zip(runs, _names(runs), tables, strict=True))
    return Sides(a, b, counts[0])


def _names(runs: tuple[store.Run, store.Run]) -> tuple[str, str]:
    a, b = (run.root.resolve() for run in runs)
    return (a.name, b.name) if a.name != b.name else (f"{a.parent.name}/{a.name}", f"{b.parent.name}/{b.name}")


@dataclass(frozen=True)
class _Table:
    checkpoints: tuple[Checkpoint, ...]
    tokens: dict[str, int]
    """Of each example that every checkpoint has."""
    results: dict[str, dict[str, tuple[float, float]]]
    """Checkpoint -> example -> nll, correctness."""


def _side(run: store.Run, name: str, table: _Table, shared: Sequence[str]) -> Side:
    nll, correct = (
        np.array([[table.results[c.name][i][column] for i in shared] for c in table.checkpoints]) for column in (0, 1)
    )
    return Side(run, name, table.checkpoints, nll, correct)


def _table(run: store.Run, split: str) -> _Table:
    checkpoints: list[Checkpoint] = []
    tokens: dict[str, int] | None = None
    results: dict[str, dict[str, tuple[float, float]]] = {}
    for snapshot in store.snapshots(run):
        if split not in snapshot.scores or split not in snapshot.samples or snapshot.checkpoint.step == 0:
            continue
        scores, samples = snapshot.scores[split], snapshot.samples[split]
        rows = zip(samples.example_ids, samples.draw, samples.correct, strict=True)
        right = {i: float(hit) for i, draw, hit in rows if draw == 0}
        here = {
            i: (float(nll), right[i]) for i, nll in zip(scores.example_ids, scores.nll_sums, strict=True) if i in right
        }
        count = dict(zip(scores.example_ids, scores.token_counts.tolist(), strict=True))
        tokens = {i: count[i] for i in here if tokens is None or i in tokens}
        checkpoints.append(snapshot.checkpoint)
        results[snapshot.checkpoint.name] = here
    if tokens is None:
        raise BadRequest(f"{run.root} has no checkpoint with scores and completions of split {split!r}")
    return _Table(tuple(checkpoints), tokens, results)
