"""The table of examples as the page reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.explorer.glossary import GLOSSARY
from overmem.explorer.table import ExampleTable
from overmem.records import SplitName, Verdict


def regimes_of(verdict: Verdict | None) -> dict[str, str]:
    """Checkpoint -> its regime; empty without a verdict."""
    return {c.checkpoint.name: c.regime for c in verdict.checkpoints} if verdict else {}


def table_json(table: ExampleTable, names: Sequence[str], regimes: Mapping[str, str]) -> dict[str, Any]:
    """The columns of the table, its checkpoints with their regimes, and the two to compare first."""
    splits = {name: SplitName.parse(name) for name in dict.fromkeys(table.split)}
    index_of = {name: i for i, name in enumerate(splits)}
    present = {c.name for c in table.checkpoints}
    return {
        "name": table.name,
        "total": table.total,
        "compared": [name for name in names if name in present],
        "checkpoints": [
            {"name": c.name, "step": c.step, "merged": bool(c.merged_from), "regime": regimes.get(c.name, "")}
            for c in table.checkpoints
        ],
        "splits": [{"name": n, "base": s.base, "shift": s.shift} for n, s in splits.items()],
        "split": [index_of[name] for name in table.split],
        "id": [e.id for e in table.examples],
        "question": [e.question for e in table.examples],
        "answer": [e.answer for e in table.examples],
        "glossary": {term: GLOSSARY[term] for term in ("surprise", "exposure", "greedy")},
        "marks": list(table.marks),
        "nll": [list(row) for row in table.nll],
    }
