"""`working-backwards` in a voice whose words do not say whether a step adds or subtracts.

For recipes and audits: `source: studies.neutral_voice:splits`. The words before a sum are the same for both signs, so
that a model that knows the wordings of its training rows by heart is not drawn to the wrong sign by them.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from overmem.records import Example
from overmem.tasks import Data, working_backwards
from overmem.tasks.wordproblems import ONE_AMOUNT, Chain, distinct_splits

STEP = (
    "{sum}.",
    "So {sum}.",
    "Now {sum}.",
    "Then {sum}.",
    "Next, {sum}.",
    "We find {sum}.",
    "This gives {sum}.",
    "That makes {sum}.",
    "Going back, {sum}.",
    "One step back: {sum}.",
    "Before that, {sum}.",
    "Let us see: {sum}.",
    "Our count is {sum}.",
    "In this step, {sum}.",
)
BETWEEN = (
    "",
    "",
    "That is one step.",
    "We go on.",
    "Let us look at the next one.",
    "Now for the following.",
    "Step by step.",
)
OPENING = (
    "",
    "Let us go back.",
    "We start at the end.",
    "Start with the end, {a}.",
    "The story ends with {a}.",
    "Our count at the end is {a}.",
    "At the end, {a}.",
    "Think of the story.",
)
CLOSING = ("\n#### {c}", "Hence {c}.\n#### {c}", "We begin with {c}.\n#### {c}", "At first it is {c}.\n#### {c}")


def problem(random: random.Random, steps: tuple[int, int], domains: Sequence[str]) -> tuple[Example, Chain]:
    """A problem of `working-backwards` with its solution in this voice, and its numbers."""
    example, numbers = working_backwards.problem(random, steps, domains)
    counts = working_backwards.undone(numbers)
    sentences = [random.choice(OPENING).format(a=counts[0])]
    for index, change in enumerate(numbers.changes):
        a, c = counts[index : index + 2]
        equation = f"{a} {'-' if change > 0 else '+'} {abs(change)} = {c}"
        sentences.append(random.choice(STEP).format(sum=equation))
        if index + 1 < len(numbers.changes):
            sentences.append(random.choice(BETWEEN))
    sentences.append(random.choice(CLOSING).format(c=numbers.start))
    return replace(example, solution=" ".join(filter(None, sentences)).replace(" \n", "\n")), numbers


def splits(data: Data, *, ood: int = 100) -> dict[str, list[Example]]:
    """Train, val, test and two out-of-distribution splits, as those of `working-backwards`."""
    sizes = {"train": data.train or 400, "val": data.val or 500, "test": data.test or 500, "ood": ood}
    return distinct_splits("plain", problem, ONE_AMOUNT, **sizes, seed=data.seed)
