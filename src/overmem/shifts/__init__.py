"""Shifts: a question told otherwise, deterministic per example. One file a shift, one literal table.

The shifted form of example `x` under shift `s` has the id `x+s` and lies in the split `<split>+s`: that is how probes
pair it with its original. Further tellings of the same kind are `s.2`, `s.3`, ..., each a split of its own, so that one
more telling is one more unit of work and nothing else. Shifted data sets read from files follow the same convention.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from overmem.errors import BadRequest
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
from overmem.tables import Table, resolve

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

_TRIES = 20
"""Draws for a telling that differs from the earlier ones, before an example is taken to have no more."""


def keeps_answer(name: str) -> bool:
    """Whether the right answer is the same after this shift; a shift that is not in the table is taken to keep it."""
    return family(name) not in CHANGES_ANSWER


def asked(text: str) -> tuple[str, int]:
    """The shift and the number of tellings that `name` or `name:count` asks for.

    >>> asked("typos"), asked("preamble:3"), asked("overmem.shifts.typos:typos:2")
    (('typos', 1), ('preamble', 3), ('overmem.shifts.typos:typos', 2))

    Raises:
        BadRequest: fewer than one telling, or a name that is neither in the table nor importable.
    """
    counted = re.fullmatch(r"(.+):(\d+)", text)
    name, count = (counted[1], int(counted[2])) if counted else (text, 1)
    if count < 1:
        raise BadRequest(f"shift {text!r} asks for {count} tellings; allowed: 1 or more")
    resolve(SHIFTS, name, "shift")
    return name, count


def telling(name: str, number: int) -> str:
    """The name of the number-th telling of a shift, from 1.

    >>> telling("preamble", 1), telling("preamble", 2)
    ('preamble', 'preamble.2')
    """
    return name if number == 1 else f"{name}.{number}"


def family(name: str) -> str:
    """The shift that this is a telling of.

    >>> family("preamble.12"), family("typos")
    ('preamble', 'typos')
    """
    return re.sub(r"\.\d+$", "", name)


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
    """The first telling of each example that the shift can change; those that it cannot are left out."""
    return tellings(tuple(examples), name, 1, seed=seed)[name]


def tellings(examples: Sequence[Example], name: str, count: int, *, seed: int = 0) -> dict[str, tuple[Example, ...]]:
    """Up to `count` tellings of each example, no two the same and none the original, by the name of the telling.

    An unchanged copy would be one more greedy pass over the same prompt, and would hide part of the accuracy drop.
    A form depends on (seed, shift, number, example id) alone: neither on the other examples nor on their order.
    """
    shift = resolve(SHIFTS, name, "shift")
    made: dict[str, list[Example]] = {telling(name, number): [] for number in range(1, count + 1)}
    for example in examples:
        seen = {example.question}
        for number, (this, rows) in enumerate(made.items(), 1):
            for attempt in range(_TRIES if number > 1 else 1):
                again = (number, attempt) if number > 1 else ()
                told = shift(example, python_random(seed, "shift", name, example.id, *again))
                if told.question not in seen:
                    seen.add(told.question)
                    rows.append(replace(told, id=shifted_id(example.id, this)))
                    break
    return {this: tuple(rows) for this, rows in made.items()}
