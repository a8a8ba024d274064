"""Joins the tables of two runs: the examples that both observed, with the checkpoints of both."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from overmem import store
from overmem.explorer.details import read_details
from overmem.explorer.table import ExampleTable
from overmem.records import Example

PER_CHECKPOINT = ("surprise", "argmax", "completions", "left_out", "graders")
"""The fields of an example's details that are lists with one entry per checkpoint."""


def joined_tables(a: ExampleTable, b: ExampleTable, names: tuple[str, str]) -> ExampleTable:
    """The shared examples of two tables, with all their checkpoints, named RUN/checkpoint.

    Args:
        a: the table of the first run.
        b: the table of the second run.
        names: names of the two runs.
    """
    row_of = {(split, e.id): row for row, (split, e) in enumerate(zip(b.split, b.examples, strict=True))}
    shared = [
        (row, row_of[split, e.id])
        for row, (split, e) in enumerate(zip(a.split, a.examples, strict=True))
        if (split, e.id) in row_of
    ]
    checkpoints = [
        replace(c, name=f"{name}/{c.name}") for name, side in zip(names, (a, b), strict=True) for c in side.checkpoints
    ]
    return replace(
        a.select([i for i, _ in shared]),
        name=" and ".join(names),
        checkpoints=tuple(checkpoints),
        marks=tuple(a.marks[i] + b.marks[j] for i, j in shared),
        nll=tuple(a.nll[i] + b.nll[j] for i, j in shared),
        total=len(shared),
    )


def joined_details(
    runs: Sequence[store.Run], split: str, examples: Sequence[Example], draws_at: Sequence[Collection[str]]
) -> dict[str, dict[str, Any]]:
    """The details of examples at the checkpoints of both runs.

    Args:
        runs: the two runs.
        split: the split of the examples.
        examples: the examples to read.
        draws_at: for each run, the checkpoints whose sampled completions are read, not only the greedy one.
    """
    first, second = (read_details(run, split, examples, names) for run, names in zip(runs, draws_at, strict=True))
    return {
        identity: detail | {key: detail[key] + second[identity][key] for key in PER_CHECKPOINT}
        for identity, detail in first.items()
    }
