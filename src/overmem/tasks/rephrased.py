"""Rephrased data sets from files: pair each row with the test question that it rephrases."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from overmem.errors import BadData, BadRequest
from overmem.records import Example
from overmem.shifts import SHIFTS, shifted_id, variant_name
from overmem.tasks.parsing import content_id


def check_set_name(name: str, section: str = "shifted", taken: Iterable[str] = SHIFTS) -> None:
    """Refuse the name of a built-in shift, and characters that a split's name (also a file name) cannot contain.

    Raises:
        BadRequest: the message says which names are taken.
    """
    if name in taken or not re.fullmatch(r"\w[\w-]*", name):
        built_in = f", and none of the built-in {', '.join(taken)}" if taken else ""
        raise BadRequest(
            f"data.{section}: {name!r} is not a valid name for a set; allowed: letters, digits, _ and -{built_in}"
        )


def pair_with_originals(
    rows: Iterable[Example], originals: Sequence[Example], name: str
) -> tuple[dict[str, tuple[Example, ...]], list[str]]:
    """The rows by split, with ids derived from their originals', and notes on rows that were left out.

    A row's `group` names its original: the question, or the value of the original's `group` column. The first
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
    by_key, shared_groups = _by_key(originals)
    rephrasings: dict[str, list[Example]] = {}
    missing = ambiguous = same = 0
    for row in ordered:
        if row.group in shared_groups:
            ambiguous += 1
        elif row.group not in by_key:
            missing += 1
        elif row.id == content_id(by_key[row.group].question):
            same += 1
        else:
            rephrasings.setdefault(by_key[row.group].id, []).append(row)
    if not rephrasings:
        raise BadData(f"data.shifted.{name}: none of its {len(ordered)} rows rephrases a test question")
    splits: dict[str, list[Example]] = {}
    for original in originals:
        for number, row in enumerate(rephrasings.get(original.id, ()), 1):
            variant = variant_name(name, number)
            splits.setdefault(f"test+{variant}", []).append(
                replace(row, id=shifted_id(original.id, variant), group=original.group)
            )
    return {split: tuple(rows) for split, rows in splits.items()}, _notes(
        name, len(ordered), len(rephrasings), len(originals), missing, ambiguous, same, len(splits)
    )


def _by_key(originals: Sequence[Example]) -> tuple[dict[str, Example], set[str]]:
    """Each original by its id and by its group, and the groups that several originals share."""
    by_key = {original.id: original for original in originals}
    shared_groups: set[str] = set()
    for original in originals:
        if original.group and by_key.setdefault(original.group, original) is not original:
            shared_groups.add(original.group)
    return by_key, shared_groups


def _notes(
    name: str, rows: int, questions: int, originals: int, missing: int, ambiguous: int, same: int, variants: int
) -> list[str]:
    """Notes on which rows were paired and which were left out.

    Args:
        name: name of the set.
        rows: rows in the set.
        questions: test questions with a rephrasing.
        originals: test questions.
        missing: rows whose original is not among them.
        ambiguous: rows whose group several questions share.
        same: rows equal to their original.
        variants: maximum number of rephrasings of one question.
    """
    notes = [f"test+{name}: {questions} of {originals} test questions are rephrased, by {rows} rows"]
    if variants > 1:
        notes.append(f"test+{name}: up to {variants} rephrasings per question, each in its own split")
    for count, reason in (
        (missing, "whose original is not among the test questions"),
        (ambiguous, "whose group several test questions share"),
        (same, "that equal their original"),
    ):
        if count:
            notes.append(f"test+{name}: {count} rows left out {reason}")
    return notes
