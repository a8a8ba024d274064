"""Generated problems and shifts stay the same byte for byte: example ids of audited runs depend on them."""

import hashlib
import json
from dataclasses import astuple

import pytest

from overmem.seeds import python_random
from overmem.shifts import SHIFTS, variants
from overmem.tasks import wordproblems
from overmem.tasks.stories import DOMAINS
from overmem.tasks.voices import VOICES

SPLITS = {0: "ea8fec3088c0131e", 7: "ee34c405246a6b66"}
BY_SHIFT = {
    "preamble": "a294606dfb642445",
    "suffix": "c2906c095aa3f5ab",
    "template": "e40ae460cbd5d762",
    "typos": "8c83ddc0eec75f67",
    "names": "3f03f7862c590a72",
    "reorder": "76c0f39150545b3f",
    "irrelevant": "1d90d26cd504a61a",
    "numbers": "35f916b73f17c050",
}
BY_VOICE = {"book": "088da7e163747927", "tutor": "1721e1edad8c28d0"}


def digest(examples):
    """A hash of every field of every example, in order."""
    return hashlib.sha256(json.dumps([astuple(e)[:6] for e in examples]).encode()).hexdigest()[:16]


def small_splits(seed):
    return wordproblems.splits(train=120, val=120, test=120, ood=60, seed=seed)


@pytest.mark.parametrize("seed", SPLITS)
def test_the_generated_splits_are_the_same_byte_for_byte(seed):
    assert digest(e for split in small_splits(seed).values() for e in split) == SPLITS[seed]


@pytest.mark.parametrize("shift", SHIFTS)
def test_every_shift_words_the_same_examples_the_same_way(shift):
    forms = variants(small_splits(0)["test"], shift, 3, seed=0)
    assert digest(e for examples in forms.values() for e in examples) == BY_SHIFT[shift]


@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_and_story_is_worded_the_same(voice):
    random = python_random(0, "test", voice)
    problems = [
        wordproblems.problem(random, steps=(1, 4), domains=[domain], voice=voice, preamble=0.5)
        for domain in DOMAINS
        for _ in range(20)
    ]
    assert digest(problems) == BY_VOICE[voice]
