"""Shifted data sets from files: rows that tell the test questions otherwise, each paired with its original."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from overmem.errors import BadData, BadRequest
from overmem.records import Example
from overmem.shifts import SHIFTS, shifted_id, telling
from overmem.tasks.layouts import content_id


def check_name(name: str, section: str = "shifted", taken: Iterable[str] = SHIFTS) -> None:
    """Refuse a name that is a built-in shift's or that could not stand in a split's name, which is a file's too.

    Raises:
        BadRequest: the message says which names are taken.
    """
    if name in taken or not re.fullmatch(r"\w[\w-]*", name):
        built_in = f", and none of the built-in {', '.join(taken)}" if taken else ""
        raise BadRequest(f"data.{section}: {name!r} is no name for a set; allowed: letters, digits, _ and -{built_in}")


def paired(
    rows: Iterable[Example], originals: Sequence[Example], name: str
) -> tuple[dict[str, tuple[Example, ...]], list[str]]:
    """The rows by split, each under its original's id, and notes on those that have no original here.

    A row's `group` says of which question it is another telling: by that question, or by the value that the original's
    own `group` column holds. The first telling of each question lies in `test+<name>`, the second in `test+<name>.2`.

    Raises:
        BadData: rows that do not say of which question they are, or none of whose originals is here.
    """
    ordered = sorted(rows, key=lambda row: row.id)
    if not any(row.group for row in ordered):
        raise BadData(
            f"data.shifted.{name}: no row says which question it tells otherwise; name the column that holds the "
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
        raise BadData(f"data.shifted.{name}: none of its {len(ordered)} rows tells one of the test questions otherwise")
    splits: dict[str, list[Example]] = {}
    for original in originals:
        for number, row in enumerate(found.get(original.id, ()), 1):
            this = telling(name, number)
            splits.setdefault(f"test+{this}", []).append(
                replace(row, id=shifted_id(original.id, this), group=original.group)
            )
    return {split: tuple(told) for split, told in splits.items()}, _notes(
        name, len(ordered), len(found), len(originals), missing, ambiguous, same, len(splits)
    )


def _by_key(originals: Sequence[Example]) -> tuple[dict[str, Example], set[str]]:
    """Each original by its id and by its group; and the groups that several share, which say too little."""
    known = {original.id: original for original in originals}
    twice: set[str] = set()
    for original in originals:
        if original.group and known.setdefault(original.group, original) is not original:
            twice.add(original.group)
    return known, twice


def _notes(
    name: str, rows: int, questions: int, originals: int, missing: int, ambiguous: int, same: int, tellings: int
) -> list[str]:
    said = [f"test+{name}: {questions} of {originals} test questions are told otherwise, by {rows} rows"]
    if tellings > 1:
        said.append(f"test+{name}: up to {tellings} tellings of one question, each in a split of its own")
    for count, why in (
        (missing, "whose original is not among the test questions"),
        (ambiguous, "whose group several test questions share"),
        (same, "that say the same as their original"),
    ):
        if count:
            said.append(f"test+{name}: {count} rows left out {why}")
    return said
