"""The built-in offline task: generated arithmetic word problems, each with a worked solution.

A problem is a chain of sums and differences told as a story. Every question has many valid solutions (each step is
worded in one of many ways, drawn at random), so that a model which grows too sure of the wordings that it has seen
pays in perplexity, and not in accuracy. Pure text: no model, no tokenizer.
"""

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from overmem.errors import BadRequest, unknown
from overmem.records import Example
from overmem.seeds import python_random
from overmem.tasks.stories import DOMAINS, NAMES, Domain
from overmem.tasks.voices import PREAMBLES, VOICES, Voice

LIMIT = 59
"""The largest number that appears in a problem or its solution."""

LARGEST_CHANGE = 14
"""The largest number added or taken away in one step."""

OOD_DOMAIN = "harbour"
"""The story domain that only the split `ood-domain` tells."""

OOD_STEPS = 4
"""Length of the chains of the split `ood-longer`."""

TRAINED_DOMAINS = tuple(sorted(set(DOMAINS) - {OOD_DOMAIN}))
"""The story domains of train, val, test and ood-longer."""


@dataclass(frozen=True)
class Chain:
    """The arithmetic of one problem: a start and signed changes, every running total within [1, LIMIT]."""

    start: int
    changes: tuple[int, ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """The running total before the first and after each change."""
        running = [self.start]
        for change in self.changes:
            running.append(running[-1] + change)
        return tuple(running)


def chain(random: random.Random, length: int) -> Chain:
    """A chain of `length` changes, each as likely to add as to take away where both stay within bounds."""
    total = start = random.randint(4, LIMIT - 14)
    changes = []
    for _ in range(length):
        sizes = {1: min(LARGEST_CHANGE, LIMIT - total), -1: min(LARGEST_CHANGE, total - 1)}
        sign = random.choice([sign for sign, size in sizes.items() if size >= 2])
        changes.append(sign * random.randint(2, sizes[sign]))
        total += changes[-1]
    return Chain(start, tuple(changes))


def question(random: random.Random, numbers: Chain, domain: Domain) -> str:
    """One telling of a chain as a story that ends with a question."""
    people = random.sample(NAMES, len(numbers.changes) + 1)
    thing = random.choice(domain.things)
    told = [random.choice(domain.start).format(who=people[0], n=numbers.start, thing=thing)]
    for index, change in enumerate(numbers.changes):
        who, other = (people[index], people[index + 1]) if domain.compares else (people[0], people[1])
        words = random.choice(domain.gain if change > 0 else domain.loss)
        told.append(words.format(who=who, other=other, n=abs(change), thing=thing))
    told.append(random.choice(domain.ask).format(who=people[-1] if domain.compares else people[0], thing=thing))
    return " ".join(told)


def solution(random: random.Random, numbers: Chain, voice: Voice) -> str:
    """One of the many worked solutions of a chain in this voice, with the answer as its last number."""
    totals = numbers.totals
    told = [random.choice(voice.opening).format(a=numbers.start)]
    for before, change, after in zip(totals, numbers.changes, totals[1:], strict=False):
        words = random.choice(voice.gain if change > 0 else voice.loss)
        told.append(words.format(a=before, b=abs(change), c=after))
    told.append(random.choice(voice.closing).format(c=totals[-1]))
    return " ".join(filter(None, told)).replace(" \n", "\n")


def problem(
    random: random.Random,
    *,
    steps: tuple[int, int] = (2, 3),
    domains: Sequence[str] = TRAINED_DOMAINS,
    voice: str = "tutor",
    preamble: float = 0.0,
) -> Example:
    """One generated problem with one of its valid worked solutions.

    Args:
        random: where every choice is drawn from.
        steps: fewest and most sums and differences in the chain, both included.
        domains: story domains to tell it in.
        voice: wording of the solution; fine-tuning data speaks as `tutor`, pebble was pretrained on `book`.
        preamble: chance of a neutral sentence before the story.
    """
    example, _ = _drawn(random, steps, domains, voice, preamble)
    return example


def splits(
    *, train: int = 400, val: int = 500, test: int = 500, ood: int = 250, seed: int = 0
) -> dict[str, list[Example]]:
    """Train, val and test of 2 to 3 steps, `ood-longer` of 4 and `ood-domain` of a story that training never tells.

    No two problems of any splits tell the same story with other numbers, or have the same chain of numbers.
    """
    sizes = {"train": train, "val": val, "test": test, "ood-longer": ood, "ood-domain": ood}
    if negative := [name for name, size in sizes.items() if size < 0]:
        raise BadRequest(f"wordproblems: sizes of {', '.join(negative)} are below 0; allowed: 0 or more")
    seen: set[object] = set()
    made: dict[str, list[Example]] = {}
    for name, size in sizes.items():
        draw = python_random(seed, "wordproblems", name)
        steps = (OOD_STEPS, OOD_STEPS) if name == "ood-longer" else (2, 3)
        domains = (OOD_DOMAIN,) if name == "ood-domain" else TRAINED_DOMAINS
        made[name] = []
        while len(made[name]) < size:
            example, numbers = _drawn(draw, steps, domains, "tutor", 0.0)
            keys = {numbers, re.sub(r"\d+", "#", example.question)}
            if not keys & seen:
                seen |= keys
                made[name].append(example)
    return made


def _drawn(
    random: random.Random, steps: tuple[int, int], domains: Sequence[str], voice: str, preamble: float
) -> tuple[Example, Chain]:
    if not 1 <= steps[0] <= steps[1]:
        raise BadRequest(f"wordproblems: steps {steps}; allowed: (fewest, most) with 1 <= fewest <= most")
    domain = random.choice(domains)
    if domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS, "wordproblems")
    if voice not in VOICES:
        raise unknown("voice", voice, VOICES, "wordproblems")
    numbers = chain(random, random.randint(*steps))
    asked = question(random, numbers, DOMAINS[domain])
    worked = solution(random, numbers, VOICES[voice])
    if random.random() < preamble:
        asked = f"{random.choice(PREAMBLES)} {asked}"
    return Example(id=_hash(asked), question=asked, solution=worked, answer=str(numbers.totals[-1])), numbers


def _hash(asked: str) -> str:
    return hashlib.sha256(" ".join(asked.casefold().split()).encode()).hexdigest()[:16]
