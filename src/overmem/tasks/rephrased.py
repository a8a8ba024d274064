"""Rephrased data sets from files: each row is paired with the test question that it rephrases."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from overmem.errors import BadData, BadRequest
from overmem.records import Example
from overmem.shifts import SHIFTS, shifted_id, variant_name
from overmem.tasks.layouts import content_id


def check_name(name: str, section: str = "shifted", taken: Iterable[str] = SHIFTS) -> None:
    """Refuse a name that is a built-in shift's or that is not allowed in a split's name, which is a file name too.

    Raises:
        BadRequest: the message says which names are taken.
    """
    if name in taken or not re.fullmatch(r"\w[\w-]*", name):
        built_in = f", and none of the built-in {', '.join(taken)}" if taken else ""
        raise BadRequest(
            f"data.{section}: {name!r} is not a valid name for a set; allowed: letters, digits, _ and -{built_in}"
        )


def paired(
    rows: Iterable[Example], originals: Sequence[Example], name: str
) -> tuple[dict[str, tuple[Example, ...]], list[str]]:
    """The rows by split, each under its original's id, and notes on those that have no original here.

    A row's `group` names the original: its question, or the value of the original's own `group` column. The first
    rephrasing of each question goes into `test+<name>`, the second into `test+<name>.2`.

    Raises:
        BadData: rows that do not name their original, or whose originals are not among the test questions.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    if not any(row.group for row in ordered):
        raise BadData(
            f"data.shifted.{name}: no row names the question that it rephrases; name the column that holds the "
            "original question, or the value of its group column, under fields: {group: ...}"
        )
    known, twice = _by_key(originals)
    found: dict[str, list[Example]] = {}
    missing = ambiguous = same = 0
    for row in ordered:
        if row.group in twice:
            ambiguous += 1
        elif row.group not in known:
            missing += 1
        elif row.id == content_id(known[row.group].question):
            same += 1
        else:
            found.setdefault(known[row.group].id, []).append(row)
    if not found:
        raise BadData(f"data.shifted.{name}: none of its {len(ordered)} rows rephrases a test question")
    splits: dict[str, list[Example]] = {}
    for original in originals:
        for number, row in enumerate(found.get(original.id, ()), 1):
            variant = variant_name(name, number)
            splits.setdefault(f"test+{variant}", []).append(
                replace(row, id=shifted_id(original.id, variant), group=original.group)
            )
    return {split: tuple(rows) for split, rows in splits.items()}, _notes(
        name, len(ordered), len(found), len(originals), missing, ambiguous, same, len(splits)
    )


def _by_key(originals: Sequence[Example]) -> tuple[dict[str, Example], set[str]]:
    """Each original by its id and by its group; and the groups that several share, which are ambiguous."""
    known = {original.id: original for original in originals}
    twice: set[str] = set()
    for original in originals:
        if original.group and known.setdefault(original.group, original) is not original:
            twice.add(original.group)
    return known, twice


def _notes(
    name: str, rows: int, questions: int, originals: int, missing: int, ambiguous: int, same: int, versions: int
) -> list[str]:
    """What was paired and what was left out.

    Args:
        name: of the set.
        rows: of the set.
        questions: test questions with a rephrasing.
        originals: test questions.
        missing: rows whose original is not among them.
        ambiguous: rows whose group several questions share.
        same: rows that equal their original.
        versions: most rephrasings of one question.
    """
    notes = [f"test+{name}: {questions} of {originals} test questions are rephrased, by {rows} rows"]
    if versions > 1:
        notes.append(f"test+{name}: up to {versions} rephrasings of one question, each in a split of its own")
    for count, why in (
        (missing, "whose original is not among the test questions"),
        (ambiguous, "whose group several test questions share"),
        (same, "that equal their original"),
    ):
        if count:
            notes.append(f"test+{name}: {count} rows left out {why}")
    return notes
