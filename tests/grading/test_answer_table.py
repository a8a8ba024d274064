"""A table of answer spellings that should count as right or as wrong; `⏎` in it is a line break."""

from pathlib import Path

import pytest
import yaml

from overmem.grading import GRADERS
from overmem.records import Example

TABLE = yaml.safe_load((Path(__file__).parent / "answers.yaml").read_text(encoding="utf-8"))


def spellings(name, side):
    """(kind of answer, reference answer, text) of every `right` or `wrong` spelling in a set."""
    return [(row["kind"], str(row["gold"]), str(text).replace("⏎", "\n")) for row in TABLE[name] for text in row[side]]


def graded_right(rows):
    return [row for row in rows if GRADERS[row[0]](row[2], Example("a", "?", "", row[1], row[0])).correct]


def test_the_table_has_four_sets_and_two_hundred_right_and_wrong_spellings():
    assert set(TABLE) == {"latex", "everyday", "choice", "chinese"}
    for side in ("right", "wrong"):
        assert sum(len(spellings(name, side)) for name in TABLE) >= 200


@pytest.mark.parametrize("name", TABLE)
def test_at_least_95_of_100_right_spellings_are_credited(name):
    rows = spellings(name, "right")
    missed = [row for row in rows if row not in graded_right(rows)]
    assert len(missed) <= 0.05 * len(rows), missed


@pytest.mark.parametrize("name", TABLE)
def test_at_most_2_of_100_wrong_spellings_are_credited(name):
    rows = spellings(name, "wrong")
    credited = graded_right(rows)
    assert len(credited) <= 0.02 * len(rows), credited
