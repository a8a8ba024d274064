"""Shifts: rephrased questions, deterministic per example. One file per shift, one literal table.

The shifted form of example `x` under shift `s` has the id `x+s` and is in the split `<split>+s`, by which probes pair
it with its original. Further variants of the same shift are `s.2`, `s.3`, ..., each in its own split, so that one more
variant adds one more unit of work. Rephrased data sets from files follow the same convention.
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
"""Every shift by name. One of your own is "module:function" and needs no line here."""

CHANGES_ANSWER = frozenset({"numbers"})
"""Shifts that change the right answer along with the question. All others keep it."""

_MAX_ATTEMPTS = 20
"""Attempts to draw a variant that differs from the earlier ones."""


def keeps_answer(name: str) -> bool:
    """Whether the right answer is the same after this shift. A shift that is not in the table is assumed to keep it."""
    return shift_of(name) not in CHANGES_ANSWER


def parse_shift(text: str) -> tuple[str, int]:
    """A shift and its number of variants, from `name` or `name:count`.

    >>> parse_shift("typos"), parse_shift("preamble:3"), parse_shift("overmem.shifts.typos:typos:2")
    (('typos', 1), ('preamble', 3), ('overmem.shifts.typos:typos', 2))

    Raises:
        BadRequest: fewer than one variant, or a name that is neither in the table nor importable.
    """
    match = re.fullmatch(r"(.+):(\d+)", text)
    name, count = (match[1], int(match[2])) if match else (text, 1)
    if count < 1:
        raise BadRequest(f"shift {text!r} has {count} variants; allowed: 1 or more")
    resolve(SHIFTS, name, "shift")
    return name, count


def variant_name(name: str, number: int) -> str:
    """The name of a shift's variant; numbers start at 1.

    >>> variant_name("preamble", 1), variant_name("preamble", 2)
    ('preamble', 'preamble.2')
    """
    return name if number == 1 else f"{name}.{number}"


def shift_of(variant: str) -> str:
    """The shift that a variant belongs to.

    >>> shift_of("preamble.12"), shift_of("typos")
    ('preamble', 'typos')
    """
    return re.sub(r"\.\d+$", "", variant)


def shifted_id(example_id: str, name: str) -> str:
    """The id of the shifted form of an example.

    >>> shifted_id("3f2a", "typos")
    '3f2a+typos'
    """
    return f"{example_id}+{name}"


def original_id(example_id: str, name: str) -> str:
    """The id of the example that was shifted.

    >>> original_id("3f2a+typos", "typos")
    '3f2a'
    """
    return example_id.removesuffix(f"+{name}")


def shifted(examples: Iterable[Example], name: str, *, seed: int = 0) -> tuple[Example, ...]:
    """The first variant of each example that the shift can change; the others are left out."""
    return variants(tuple(examples), name, 1, seed=seed)[name]


def variants(examples: Sequence[Example], name: str, count: int, *, seed: int = 0) -> dict[str, tuple[Example, ...]]:
    """Variant name -> shifted examples: up to `count` distinct variants per example, none equal to the original.

    An unchanged copy would cost another greedy completion of the same prompt and dilute the accuracy drop.
    A variant depends on (seed, shift, number, example id) only, not on the other examples or their order.

    Args:
        examples: the originals.
        name: a name in SHIFTS, or "module:function".
        count: variants per example.
        seed: the audit's seed.
    """
    shift = resolve(SHIFTS, name, "shift")
    result: dict[str, list[Example]] = {variant_name(name, number): [] for number in range(1, count + 1)}
    for example in examples:
        questions = {example.question}
        for number, (variant, rows) in enumerate(result.items(), 1):
            for attempt in range(_MAX_ATTEMPTS if number > 1 else 1):
                stream = (number, attempt) if number > 1 else ()
                candidate = shift(example, python_random(seed, "shift", name, example.id, *stream))
                if candidate.question not in questions:
                    questions.add(candidate.question)
                    rows.append(replace(candidate, id=shifted_id(example.id, variant)))
                    break
    return {variant: tuple(rows) for variant, rows in result.items()}
