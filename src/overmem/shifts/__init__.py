"""Shifts: a question told otherwise, deterministic per example. One file a shift, one literal table.

The shifted form of example `x` under shift `s` has the id `x+s` and lies in the split `<split>+s`: that is how probes
pair it with its original. Shifted data sets read from files follow the same convention.
"""

from collections.abc import Iterable

from overmem.records import Example
from overmem.seeds import python_random
from overmem.shifts.irrelevant import irrelevant
from overmem.shifts.names import names
from overmem.shifts.numbers import numbers
from overmem.shifts.preamble import preamble
from overmem.shifts.reorder import reorder
from overmem.shifts.suffix import suffix
from overmem.shifts.template import template
from overmem.shifts.typos import typos
from overmem.tables import Table, method

SHIFTS: Table = {
    "preamble": preamble,
    "suffix": suffix,
    "template": template,
    "typos": typos,
    "names": names,
    "reorder": reorder,
    "irrelevant": irrelevant,
    "numbers": numbers,
}

CHANGES_ANSWER = frozenset({"numbers"})
"""Shifts after which another answer is right (and is given). All others keep it."""


def keeps_answer(name: str) -> bool:
    """Whether the right answer is the same after this shift; a shift that is not in the table is taken to keep it."""
    return name not in CHANGES_ANSWER


def shifted_id(example_id: str, name: str) -> str:
    """The id of the shifted form of an example.

    >>> shifted_id("3f2a", "typos")
    '3f2a+typos'
    """
    return f"{example_id}+{name}"


def original_id(example_id: str, name: str) -> str:
    """The id of the example that this one is the shifted form of.

    >>> original_id("3f2a+typos", "typos")
    '3f2a'
    """
    return example_id.removesuffix(f"+{name}")


def shifted(examples: Iterable[Example], name: str, *, seed: int = 0) -> tuple[Example, ...]:
    """The shifted form of each example that the shift can change; those that it cannot are left out.

    An unchanged copy would be one more greedy pass over the same prompt, and would hide part of the accuracy drop.
    The form depends on (seed, shift, example id) alone: neither on the other examples nor on their order.
    """
    shift = method(SHIFTS, name, "shift")
    made = []
    for example in examples:
        told = shift(example, python_random(seed, "shift", name, example.id))
        if told.question != example.question:
            made.append(Example(**{**vars(told), "id": shifted_id(example.id, name)}))
    return tuple(made)
