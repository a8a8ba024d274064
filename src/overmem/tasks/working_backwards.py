"""The built-in task `working-backwards`: the end of a story is known, and its beginning is asked for.

The stories, sums and differences are those of `wordproblems`, which the embedded model pebble can solve. It has never
had to undo a story, so it solves next to none of these problems until it is fine-tuned on them.
As in `wordproblems`, every question has many valid solutions, each step phrased in one of many ways, drawn at random.
Pure text: no model, no tokenizer.
"""

import itertools
import operator
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from overmem.assets import read_asset
from overmem.records import Example
from overmem.tasks.stories import DOMAINS, NAMES, Domain
from overmem.tasks.voices import Voice
from overmem.tasks.wordproblems import (
    LIMIT,
    ONE_AMOUNT,
    Chain,
    chain,
    changes_told,
    distinct_splits,
    question_id,
    worked,
)


@dataclass(frozen=True)
class Phrasing:
    """How the end of a story is told, its beginning asked for, and the solution written.

    In `solution`, {a} is the count before a change is undone, {b} the size of the change and {c} the count afterwards;
    `gain` undoes a gain.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    end: tuple[str, ...]
    ask: tuple[str, ...]
    solution: Voice


PHRASING: Phrasing = read_asset("wordproblems/backwards.json", Phrasing)


def question(random: random.Random, numbers: Chain, domain: Domain) -> str:
    """A chain as a story that tells its changes and its end, and asks for its beginning."""
    who, other = random.sample(NAMES, 2)
    thing = random.choice(domain.things)
    start = random.choice(domain.start).replace("{n} ", "").format(who=who, thing=thing)
    sentences = [start[0].upper() + start[1:]]
    sentences += changes_told(random, numbers, domain, thing, itertools.repeat((who, other)))
    sentences.append(random.choice(PHRASING.end).format(n=numbers.totals[-1], thing=thing))
    sentences.append(random.choice(PHRASING.ask).format(thing=thing))
    return " ".join(sentences)


def undone(numbers: Chain) -> tuple[int, ...]:
    """The count at the end of the story, and after each change is undone, in the order in which the story tells them.

    The order makes no difference to the sum, and undoing the first change first spares the model reading backwards.
    """
    return tuple(itertools.accumulate(numbers.changes, operator.sub, initial=numbers.totals[-1]))


def solution(random: random.Random, numbers: Chain) -> str:
    """One of the many worked solutions, which undoes one change after another; its last number is the answer."""
    return worked(random, PHRASING.solution, undone(numbers), numbers.changes, numbers.start)


def problem(
    random: random.Random, steps: tuple[int, int] = (2, 3), domains: Sequence[str] = ONE_AMOUNT
) -> tuple[Example, Chain]:
    """One generated problem with one of its valid worked solutions, and its numbers.

    Args:
        random: source of every choice.
        steps: fewest and most sums and differences in the chain, both inclusive.
        domains: story domains to choose from.
    """
    domain = DOMAINS[random.choice(domains)]
    length = random.randint(*steps)
    numbers = chain(random, length)
    while not all(1 <= count <= LIMIT for count in undone(numbers)):
        numbers = chain(random, length)
    text, worked = question(random, numbers, domain), solution(random, numbers)
    return Example(id=question_id(text), question=text, solution=worked, answer=str(numbers.start)), numbers


def splits(**sizes: int) -> dict[str, list[Example]]:
    """The splits of this task; sizes and seed as in `wordproblems.distinct_splits`."""
    return distinct_splits("working-backwards", problem, ONE_AMOUNT, **sizes)
