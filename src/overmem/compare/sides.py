"""Two audited runs, restricted to the examples that were measured at every checkpoint of both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Checkpoint, Curves, Snapshot
from overmem.verdict.matching import complete


@dataclass(frozen=True)
class Side:
    """One run: its name, and the curves of its trained checkpoints."""

    run: store.Run
    name: str
    val: Curves | None
    """Where checkpoints are chosen; None if the runs share no example of val."""
    test: Curves
    """Where checkpoints are compared."""

    def checkpoint(self, row: int) -> Checkpoint:
        """The checkpoint in a row of the curves."""
        return self.test.checkpoints[row]

    def label(self, row: int) -> str:
        """RUN/checkpoint."""
        return f"{self.name}/{self.checkpoint(row).name}"

    def snapshot(self, row: int) -> Snapshot:
        """The observations of a checkpoint, which is renamed to its label."""
        snapshot = store.read_snapshot(self.run, self.checkpoint(row))
        return replace(snapshot, checkpoint=replace(snapshot.checkpoint, name=self.label(row)))

    @cached_property
    def base(self) -> Snapshot | None:
        """The observations of the base model; None if it was not audited."""
        base = next((c for c in store.read_checkpoints(self.run) if c.step == 0 and not c.merged_from), None)
        return None if base is None else store.read_snapshot(self.run, base)


def sides(runs: tuple[store.Run, store.Run], split: str, chosen_on: str = "val") -> tuple[Side, Side]:
    """Both runs on the examples that they share.

    Args:
        runs: RUN_A and RUN_B.
        split: the split on which they are compared.
        chosen_on: the split on which the checkpoints to compare are chosen.

    Raises:
        BadRequest: both are the same run, one has no checkpoint with the split, they share no example of it, or their
            tokens differ.
    """
    if runs[0].home.resolve() == runs[1].home.resolve():
        raise BadRequest(f"{runs[0].root} was given twice; compare needs two runs, such as two recipes or two seeds")
    test = [_curves(run, split) for run in runs]
    val = [_curves(run, chosen_on, required=False) for run in runs] if chosen_on != split else [None, None]
    has_val = all(set(_measured(v)) & set(_measured(t)) for v, t in zip(val, test, strict=True))
    names = [[n for n in _measured(t) if not has_val or n in _measured(v)] for v, t in zip(val, test, strict=True)]
    on_test = _paired(runs, test, names, split)
    on_val = _paired(runs, val, names, chosen_on) if has_val else (None, None)
    if on_test[0].nll_sums.shape == on_test[1].nll_sums.shape and (on_test[0].nll_sums == on_test[1].nll_sums).all():
        raise BadRequest(f"{runs[1].root} is a copy of {runs[0].root}: every number of every checkpoint is the same")
    a, b = (Side(*parts) for parts in zip(runs, store.run_names(runs), on_val, on_test, strict=True))
    return a, b


def _curves(run: store.Run, split: str, *, required: bool = True) -> Curves | None:
    """The curves of a split; None if it was not audited and is not required."""
    if split not in store.read_plan(run).splits and not required:
        return None
    curves = store.read_curves(run, split)
    if required and not _measured(curves):
        raise BadRequest(f"{run.root} has no checkpoint with scores and completions of split {split!r}")
    return curves


def _measured(curves: Curves | None) -> list[str]:
    """The trained checkpoints with nll and accuracy."""
    if curves is None:
        return []
    finite = (np.isfinite(curves.nll_sums) & np.isfinite(curves.correct)).any(1)
    return [
        c.name for c, has in zip(curves.checkpoints, finite, strict=True) if has and c.step > 0 and not c.merged_from
    ]


def _paired(
    runs: Sequence[store.Run], curves: Sequence[Curves | None], names: Sequence[Sequence[str]], split: str
) -> tuple[Curves, Curves]:
    """The curves of both runs on the examples that all of these checkpoints have, in the same order."""
    a, b = (side for side in curves if side is not None)
    index_of = {name: i for i, name in enumerate(b.example_ids)}
    shared = [(i, index_of[name]) for i, name in enumerate(a.example_ids) if name in index_of]
    if not shared:
        raise BadRequest(f"{runs[0].root} and {runs[1].root} share no example of split {split!r}, so nothing is paired")
    left, right = (_with_examples(side, [pair[k] for pair in shared]) for k, side in enumerate((a, b)))
    if (left.token_counts != right.token_counts).any():
        raise BadRequest(
            f"{runs[0].root} and {runs[1].root} split the same solutions into different tokens, so their nats per "
            "token cannot be compared"
        )
    rows = [
        [i for i, c in enumerate(side.checkpoints) if c.name in selected]
        for side, selected in zip((left, right), names, strict=True)
    ]
    paired = complete(left, right, *rows)
    if paired[0].correct.shape[1] < 2:
        raise BadRequest(
            f"{runs[0].root} and {runs[1].root} have no two examples of {split!r} measured at every checkpoint"
        )
    return paired


def _with_examples(side: Curves, examples: Sequence[int]) -> Curves:
    groups = side.groups_of(examples)
    return Curves(
        side.checkpoints,
        side.nll_sums[:, examples],
        side.token_counts[examples],
        side.correct[:, examples],
        groups=groups,
    )
