"""The built-in offline task: generated arithmetic word problems, each with a worked solution.

A problem is a chain of sums and differences in the form of a story. Every question has many valid solutions (each step
is phrased in one of many ways, drawn at random), so a model that becomes too confident in the phrasings of its training
rows loses perplexity but not accuracy. Needs no model and no tokenizer.
"""

import hashlib
import itertools
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from overmem.errors import BadRequest, unknown
from overmem.records import Example
from overmem.seeds import python_random
from overmem.tasks.stories import DOMAINS, NAMES, Domain
from overmem.tasks.voices import PREAMBLES, VOICES, Voice

LIMIT = 59
"""The largest number that appears in a problem or its solution."""

LARGEST_CHANGE = 14
"""The largest number added or subtracted in one step."""

OOD_DOMAIN = "harbour"
"""The story domain of `ood-domain`, which no other split uses."""

OOD_STEPS = 4
"""Length of the chains of the split `ood-longer`."""

TRAINED_DOMAINS = tuple(sorted(set(DOMAINS) - {OOD_DOMAIN}))
"""The story domains of train, val, test and ood-longer."""

ONE_AMOUNT = tuple(name for name in TRAINED_DOMAINS if not DOMAINS[name].compares)
"""Those of them in which one amount changes over time: the stories of the tasks that ask for another count."""


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
    """A chain of `length` changes, each equally likely to add or subtract where both stay within bounds."""
    total = start = random.randint(4, LIMIT - 14)
    changes = []
    for _ in range(length):
        sizes = {1: min(LARGEST_CHANGE, LIMIT - total), -1: min(LARGEST_CHANGE, total - 1)}
        sign = random.choice([sign for sign, size in sizes.items() if size >= 2])
        changes.append(sign * random.randint(2, sizes[sign]))
        total += changes[-1]
    return Chain(start, tuple(changes))


def question(random: random.Random, numbers: Chain, domain: Domain) -> str:
    """A story for a chain, which ends with a question."""
    people = random.sample(NAMES, len(numbers.changes) + 1)
    thing = random.choice(domain.things)
    sentences = [random.choice(domain.start).format(who=people[0], n=numbers.start, thing=thing)]
    pairs = itertools.pairwise(people) if domain.compares else itertools.repeat((people[0], people[1]))
    sentences += changes_told(random, numbers, domain, thing, pairs)
    sentences.append(random.choice(domain.ask).format(who=people[-1] if domain.compares else people[0], thing=thing))
    return " ".join(sentences)


def changes_told(
    random: random.Random, numbers: Chain, domain: Domain, thing: str, pairs: Iterable[tuple[str, str]]
) -> list[str]:
    """A sentence for each change of a chain.

    Args:
        random: source of every choice.
        numbers: the chain.
        domain: of the story.
        thing: what is counted.
        pairs: the person of each change, and another one.
    """
    sentences = []
    for change, (who, other) in zip(numbers.changes, pairs, strict=False):
        template = random.choice(domain.gain if change > 0 else domain.loss)
        sentences.append(template.format(who=who, other=other, n=abs(change), thing=thing))
    return sentences


def solution(random: random.Random, numbers: Chain, voice: Voice) -> str:
    """One of the many worked solutions of a chain in this voice; its last number is the answer."""
    return worked(random, voice, numbers.totals, numbers.changes, numbers.totals[-1])


def worked(random: random.Random, voice: Voice, counts: Sequence[int], changes: Sequence[int], answer: int) -> str:
    """A solution in a voice: an opening, a sentence with a sum or difference for each change, and the answer.

    Args:
        random: source of every choice.
        voice: its templates; `gain` is for changes above 0.
        counts: before the first change, and after each.
        changes: between the counts.
        answer: the last number of the solution.
    """
    sentences = [random.choice(voice.opening).format(a=counts[0])]
    for before, change, after in zip(counts, changes, counts[1:], strict=False):
        template = random.choice(voice.gain if change > 0 else voice.loss)
        sentences.append(template.format(a=before, b=abs(change), c=after))
    sentences.append(random.choice(voice.closing).format(c=answer))
    return " ".join(filter(None, sentences)).replace(" \n", "\n")


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
        random: the random generator.
        steps: fewest and most sums and differences in the chain, both inclusive.
        domains: story domains to choose from.
        voice: wording of the solution: `tutor` in fine-tuning data, `book` in pebble's pretraining.
        preamble: probability of a neutral sentence before the story.
    """
    example, _ = _generate(random, steps, domains, voice, preamble)
    return example


def splits(**sizes: int) -> dict[str, list[Example]]:
    """The splits of this task; sizes and seed as in `distinct_splits`."""
    return distinct_splits("wordproblems", _generate, TRAINED_DOMAINS, **sizes)


def distinct_splits(
    source: str,
    generate: Callable[[random.Random, tuple[int, int], Sequence[str]], tuple[Example, Chain]],
    domains: Sequence[str],
    steps: tuple[int, int] = (2, 3),
    /,
    *,
    ood_steps: int = OOD_STEPS,
    train: int = 400,
    val: int = 500,
    test: int = 500,
    ood: int = 250,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """Train, val and test, `ood-longer` with longer chains, `ood-domain` from a story domain not in training.

    No two problems in any splits have the same chain of numbers or differ in their numbers only.

    Args:
        source: name of the data source, for seeds and errors.
        generate: draws a problem and its chain, given the fewest and most steps and the story domains.
        domains: story domains of all splits but `ood-domain`.
        steps: fewest and most steps of all splits but `ood-longer`.
        ood_steps: steps of `ood-longer`.
        train: number of training problems.
        val: number of validation problems.
        test: number of test problems.
        ood: number of problems in each out-of-distribution split.
        seed: seed of every problem.
    """
    sizes = {"train": train, "val": val, "test": test, "ood-longer": ood, "ood-domain": ood}
    if negative := [name for name, size in sizes.items() if size < 0]:
        raise BadRequest(f"{source}: sizes of {', '.join(negative)} are below 0; allowed: 0 or more")
    seen: set[object] = set()
    problems: dict[str, list[Example]] = {}
    for name, size in sizes.items():
        random = python_random(seed, source, name)
        steps_of_split = (ood_steps, ood_steps) if name == "ood-longer" else steps
        stories_of_split = (OOD_DOMAIN,) if name == "ood-domain" else domains
        problems[name] = []
        while len(problems[name]) < size:
            example, numbers = generate(random, steps_of_split, stories_of_split)
            keys = {numbers, re.sub(r"\d+", "#", example.question)}
            if not keys & seen:
                seen |= keys
                problems[name].append(example)
    return problems


def _generate(
    random: random.Random,
    steps: tuple[int, int],
    domains: Sequence[str],
    voice: str = "tutor",
    preamble: float = 0.0,
) -> tuple[Example, Chain]:
    if not 1 <= steps[0] <= steps[1]:
        raise BadRequest(f"wordproblems: steps {steps}; allowed: (fewest, most) with 1 <= fewest <= most")
    domain = random.choice(domains)
    if domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS, "wordproblems")
    if voice not in VOICES:
        raise unknown("voice", voice, VOICES, "wordproblems")
    numbers = chain(random, random.randint(*steps))
    text = question(random, numbers, DOMAINS[domain])
    solution_text = solution(random, numbers, VOICES[voice])
    if random.random() < preamble:
        text = f"{random.choice(PREAMBLES)} {text}"
    return Example(id=question_id(text), question=text, solution=solution_text, answer=str(numbers.totals[-1])), numbers


def question_id(text: str) -> str:
    """An id of a question: its words, whatever their case and spacing, hashed."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()[:16]
