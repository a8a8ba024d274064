"""A run's story in stretches: noise does not make a regime come and go."""

import numpy as np

from overmem.verdict.naming import NAMES
from overmem.verdict.stretches import likeliest, settled


def table(*rows):
    result = np.full((len(rows), len(NAMES)), 0.02)
    for i, (name, p) in enumerate(rows):
        result[i, NAMES.index(name)] = p
    return result


def test_one_weak_checkpoint_between_others_keeps_their_name():
    p = table(*[("healthy", 0.9)] * 3, ("over-memorized", 0.6), *[("healthy", 0.9)] * 3)
    assert {NAMES[k] for k in likeliest(p)} == {"healthy"}
    named, story = settled([*["healthy"] * 3, "over-memorized", *["healthy"] * 3], p)
    assert named == (*["healthy"] * 3, "undecided", *["healthy"] * 3)
    assert set(story) == {"healthy"}


def test_a_lasting_change_is_a_new_stretch():
    p = table(*[("healthy-memorizing", 0.9)] * 4, *[("over-memorized", 0.9)] * 4)
    named, story = settled(["healthy", *["healthy-memorizing"] * 3, *["over-memorized"] * 4], p)
    assert named == ("healthy", *["healthy-memorizing"] * 3, *["over-memorized"] * 4)
    assert story == (*["healthy-memorizing"] * 4, *["over-memorized"] * 4)


def test_no_name_comes_back_once_others_have_followed():
    p = table(*[("under-trained", 0.99)] * 2, *[("healthy", 0.99)] * 4, *[("under-trained", 0.99)] * 4)
    named, _ = settled([*["under-trained"] * 2, *["healthy"] * 4, *["under-trained"] * 4], p)
    decided = [n for n in named if n != "undecided"]
    assert decided == [*["healthy"] * 4, *["under-trained"] * 4]


def test_nothing_is_settled_where_nothing_was_judged():
    assert settled([], np.empty((0, len(NAMES)))) == ((), ())
