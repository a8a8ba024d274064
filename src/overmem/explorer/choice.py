"""Which checkpoints to compare, and which examples to show first if not all of them fit."""

from collections.abc import Sequence

from overmem.explorer.table import MISSING, RIGHT, RIGHT_CUT, UNKNOWN, ExampleTable
from overmem.records import Checkpoint, Verdict


def compared(verdict: Verdict | None, checkpoints: Sequence[Checkpoint]) -> tuple[str, ...]:
    """The best checkpoint of a run, and the one to compare it with: the last over-memorized one, or else the last.

    Without a verdict: the first and the last trained checkpoint, or the base model and the only trained one.
    """
    trained = [c.name for c in checkpoints if c.step > 0 and not c.merged_from]
    if verdict is None:
        names = trained if len(trained) > 1 else [c.name for c in checkpoints]
        return tuple(dict.fromkeys((*names[:1], *names[-1:])))
    judged = sorted((c for c in verdict.checkpoints if not c.checkpoint.merged_from), key=lambda c: c.checkpoint.step)
    names = [c.checkpoint.name for c in judged if c.checkpoint.step > 0]
    over_memorized = [c.checkpoint.name for c in judged if c.regime == "over-memorized"] or names
    return tuple(dict.fromkeys(name for name in (verdict.best_of_run, *over_memorized[-1:]) if name))


def by_relevance(table: ExampleTable, names: Sequence[str]) -> list[int]:
    """All rows, the most relevant first.

    First the examples that went from right to wrong between the first and the last of `names`, then those that went
    from wrong to right, then those that changed at any checkpoint, then the rest. Within each of these groups, examples
    whose nll fell the most since the base model (the most exposed) alternate with those of the highest final nll.
    """
    index_of = {c.name: i for i, c in enumerate(table.checkpoints)}
    a, b = (index_of.get(name, -1) for name in (names[0], names[-1])) if names else (-1, -1)
    base = next((i for i, c in enumerate(table.checkpoints) if c.step == 0), None)

    def group(row: int) -> int:
        before, after = (_is_right(table.marks[row][i]) for i in (a, b))
        if None not in (before, after) and before != after:
            return 0 if before else 1
        return 2 if len({_is_right(mark) for mark in table.marks[row]} - {None}) > 1 else 3

    def fall(row: int) -> int:
        nll = table.nll[row]
        return nll[base] - nll[b] if base is not None and MISSING not in (nll[base], nll[b]) else 0

    rows = range(len(table.examples))
    groups: list[list[int]] = [[] for _ in range(4)]
    for row in rows:
        groups[group(row)].append(row)
    ordered: list[int] = []
    for members in groups:
        by_fall = sorted(members, key=lambda row: (-fall(row), row))
        by_surprise = sorted(members, key=lambda row: (-table.nll[row][b], row))
        ordered += dict.fromkeys(row for pair in zip(by_fall, by_surprise, strict=True) for row in pair)
    return ordered


def _is_right(mark: str) -> bool | None:
    return None if mark == UNKNOWN else mark in (RIGHT, RIGHT_CUT)
