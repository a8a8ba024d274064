"""The built-in task `one-step-back`: the story of a word problem, and the count before its last change is asked for.

The stories, sums and differences are those of `wordproblems`, which the embedded model pebble can solve. It has never
been asked for anything but the end of a story, so it answers with the end until it is fine-tuned; what it then has to
learn is to look back at its own last sum. As in `wordproblems`, every question has many valid solutions, each step
phrased in one of many ways, drawn at random. Pure text: no model, no tokenizer.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

from overmem.assets import read_asset
from overmem.records import Example
from overmem.tasks.stories import DOMAINS, NAMES, Domain
from overmem.tasks.voices import Voice
from overmem.tasks.wordproblems import ONE_AMOUNT, Chain, chain, changes_told, distinct_splits, question_id, worked


@dataclass(frozen=True)
class Phrasing:
    """How the count before the last change is asked for, and the solution written.

    In the closings of `solution`, {c} is the count before the last change.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    ask: tuple[str, ...]
    solution: Voice


PHRASING: Phrasing = read_asset("wordproblems/one_step_back.json", Phrasing)

STEPS = (2, 2)
"""Fewest and most changes in a story. Of three, pebble misreads more the longer it is trained on a few hundred rows."""

OOD_STEPS = 3
"""Changes in a story of `ood-longer`."""


def question(random: random.Random, numbers: Chain, domain: Domain) -> str:
    """A chain as a story, which ends with a question about the count before its last change."""
    who, other = random.sample(NAMES, 2)
    thing = random.choice(domain.things)
    sentences = [random.choice(domain.start).format(who=who, n=numbers.start, thing=thing)]
    sentences += changes_told(random, numbers, domain, thing, repeat((who, other)))
    sentences.append(random.choice(PHRASING.ask).format(thing=thing))
    return " ".join(sentences)


def solution(random: random.Random, numbers: Chain) -> str:
    """One of the many worked solutions, which tells the story to its end and then looks back one step."""
    return worked(random, PHRASING.solution, numbers.totals, numbers.changes, numbers.totals[-2])


def problem(
    random: random.Random, steps: tuple[int, int] = STEPS, domains: Sequence[str] = ONE_AMOUNT
) -> tuple[Example, Chain]:
    """One generated problem with one of its valid worked solutions, and its numbers.

    Args:
        random: source of every choice.
        steps: fewest and most sums and differences in the chain, both inclusive.
        domains: story domains to choose from.
    """
    domain = DOMAINS[random.choice(domains)]
    numbers = chain(random, random.randint(*steps))
    text, worked = question(random, numbers, domain), solution(random, numbers)
    return Example(id=question_id(text), question=text, solution=worked, answer=str(numbers.totals[-2])), numbers


def splits(**sizes: int) -> dict[str, list[Example]]:
    """The splits of this task, with 3 changes in `ood-longer`; sizes and seed as in `wordproblems.distinct_splits`."""
    return distinct_splits("one-step-back", problem, ONE_AMOUNT, STEPS, ood_steps=OOD_STEPS, **sizes)
