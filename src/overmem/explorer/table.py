"""The table of examples: one row per observed example, with its result at every checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overmem import store
from overmem.errors import BadRequest
from overmem.records import Checkpoint, Example, SplitName
from overmem.store.snapshots import why_missing, why_not_observed

RIGHT, WRONG, RIGHT_CUT, WRONG_CUT, UNKNOWN = "R", "W", "r", "w", "-"
"""Marks of greedy completions; the small letters are for completions that reached the length limit."""
MISSING = -1
"""Stands for an nll that was not measured."""


@dataclass(frozen=True)
class ExampleTable:
    """Every observed example of a run, in the order of its splits. All columns have one entry per example."""

    name: str
    """Name of the run."""
    checkpoints: tuple[Checkpoint, ...]
    split: tuple[str, ...]
    examples: tuple[Example, ...]
    marks: tuple[str, ...]
    """One character per checkpoint."""
    nll: tuple[tuple[int, ...], ...]
    """Mean nll per token of the reference solution at each checkpoint, in thousandths of a nat."""
    total: int
    """Number of examples of the run; larger than the number of rows after `select`."""

    def select(self, rows: Sequence[int]) -> "ExampleTable":
        """Only these rows, in this order."""
        return replace(
            self,
            split=tuple(self.split[i] for i in rows),
            examples=tuple(self.examples[i] for i in rows),
            marks=tuple(self.marks[i] for i in rows),
            nll=tuple(self.nll[i] for i in rows),
        )


def read_example_table(run: store.Run) -> ExampleTable:
    """Every example of every split that was observed. Examples of membership attacks are left out.

    Units that are missing or damaged, or were observed for another request, give unknown marks, so that the table can
    be read while an audit is running.

    Raises:
        BadRequest: the run was not audited.
    """
    plan = store.read_plan(run)
    failures = {c.name: why_not_observed(run, c.name) for c in plan.checkpoints}
    splits: list[str] = []
    examples: list[Example] = []
    marks: list[str] = []
    nll: list[tuple[int, ...]] = []
    for split in plan.splits:
        if SplitName.parse(split).attack:
            continue
        try:
            split_examples = store.read_examples(run, split)
        except BadRequest:
            continue  # not observed yet
        marks_at, nll_at = [], []  # one entry per checkpoint
        counts: dict[str, int] = {}
        for checkpoint in plan.checkpoints:
            name = checkpoint.name
            is_current = {
                kind: not why_missing(run, name, split, kind, plan.requests[split], failures[name])
                for kind in ("scores", "samples")
            }
            n = len(split_examples)
            marks_at.append(_marks(run, name, split, split_examples) if is_current["samples"] else UNKNOWN * n)
            nll_at.append(_nll(run, name, split, split_examples, counts) if is_current["scores"] else [MISSING] * n)
        splits += [split] * len(split_examples)
        examples += split_examples
        marks += map("".join, zip(*marks_at, strict=True))
        nll += zip(*nll_at, strict=True)
    return ExampleTable(
        run.root.resolve().name,
        plan.checkpoints,
        tuple(splits),
        tuple(examples),
        tuple(marks),
        tuple(nll),
        len(examples),
    )


def _marks(run: store.Run, checkpoint: str, split: str, examples: Sequence[Example]) -> str:
    try:
        greedy = store.read_greedy_marks(run, checkpoint, split)
    except BadRequest:
        return UNKNOWN * len(examples)
    return "".join(_mark(*greedy[e.id]) if e.id in greedy else UNKNOWN for e in examples)


def _mark(is_right: bool, stop: str) -> str:
    if stop == "length":
        return RIGHT_CUT if is_right else WRONG_CUT
    return RIGHT if is_right else WRONG


def _nll(run: store.Run, checkpoint: str, split: str, examples: Sequence[Example], counts: dict[str, int]) -> list[int]:
    """The mean nll per token of each example, in thousandths of a nat. `counts` is filled at the first checkpoint."""
    try:
        sums = store.read_nll_sums(run, checkpoint, split)
        if not counts:
            counts |= store.read_token_counts(run, checkpoint, split)
    except BadRequest:
        return [MISSING] * len(examples)
    rows = ((sums.get(e.id), counts.get(e.id)) for e in examples)
    return [round(1000 * total / count) if count and total is not None else MISSING for total, count in rows]
