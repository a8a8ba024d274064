"""Derived splits: rephrased test questions, and changed examples for membership attacks."""

import re

import pytest

from overmem.errors import BadRequest
from overmem.records import Example
from overmem.shifts import original_id
from overmem.tasks.derived import NEIGHBOURS, SHOTS, attack_splits, shifted_splits
from overmem.tasks.splits import sample
from overmem.tasks.wordproblems import splits as wordproblems

SPLITS = wordproblems(train=30, val=30, test=30, ood=0, seed=1)


def attacked(attack, splits=SPLITS, rows=20, **more):
    return attack_splits(splits, [attack], rows=rows, side_rows=12, seed=0, **more)


def rephrased(shift_names, splits=SPLITS, **more):
    return shifted_splits(splits, shift_names, **({"rows": 20, "side_rows": 12, "seed": 0} | more))


def test_the_first_audited_test_questions_are_rephrased():
    derived = rephrased(["preamble:2", "typos"])
    assert list(derived) == ["test+preamble", "test+preamble.2", "test+typos"]
    ids = {e.id for e in sample(SPLITS["test"], "test", 12)}
    assert {original_id(e.id, "preamble.2") for e in derived["test+preamble.2"]} == ids


def test_a_rephrased_set_is_limited_to_the_audited_questions():
    rows = tuple(Example(f"{e.id}+mine", f"So: {e.question}", e.solution, e.answer) for e in SPLITS["test"])
    derived = rephrased([], {**SPLITS, "test+mine": rows[::-1]})
    assert [original_id(e.id, "mine") for e in derived["test+mine"]] == [
        e.id for e in sample(SPLITS["test"], "test", 12)
    ]
    some = tuple(
        e for e in rows if e.id.removesuffix("+mine") in {e.id for e in sample(SPLITS["test"], "test", 30)[15:]}
    )
    assert len(rephrased([], {**SPLITS, "test+mine": some})["test+mine"]) == 5


def test_without_test_questions_there_is_nothing_to_rephrase():
    with pytest.raises(BadRequest, match="test"):
        rephrased(["typos"], {"val": SPLITS["val"]})
    assert rephrased([], {"val": SPLITS["val"]}) == {}


def test_recall_puts_the_same_non_members_before_every_question_and_attacks_none_of_them():
    derived = attacked("recall")
    non_members = sample(SPLITS["val"], "val", 20)
    shots = sample(SPLITS["val"], "val", 30)[20 : 20 + SHOTS]
    before = "\n\n".join(f"{s.question}\n{s.solution}" for s in shots)
    for split, rows in (("train", sample(SPLITS["train"], "train", 12)), ("val", non_members[:12])):
        assert [e.question for e in derived[f"{split}~recall"]] == [f"{before}\n\n{e.question}" for e in rows]
        assert [(e.id, e.solution) for e in derived[f"{split}~recall"]] == [(e.id, e.solution) for e in rows]


def test_without_spare_non_members_the_last_ones_become_shots():
    derived = attacked("recall", rows=30, splits={**SPLITS, "val": SPLITS["val"][:10]})
    assert len(derived["val~recall"]) == 10 - SHOTS
    before = derived["val~recall"][0].question
    assert not any(e.question in before.rpartition("\n\n")[0] for e in derived["val~recall"])


def test_a_short_context_window_reduces_the_number_of_shots():
    derived = attacked("recall", fits=lambda e: e.question.count("\n\n") <= 2)
    assert {e.question.count("\n\n") for e in derived["train~recall"]} == {2}


def test_neighbours_change_some_words_but_no_number_name_or_punctuation():
    derived = attacked("neighbour")
    originals = {e.id: e for s in ("train", "val") for e in SPLITS[s]}
    assert {e.id.partition("~")[0] for e in derived["train~neighbour"]} == {
        e.id for e in sample(SPLITS["train"], "train", 12)
    }
    assert len(derived["train~neighbour"]) == 12 * NEIGHBOURS
    for e in (*derived["train~neighbour"], *derived["val~neighbour"]):
        original = originals[e.id.partition("~")[0]]
        before, after = re.findall(r"\w+|\W", original.solution), re.findall(r"\w+|\W", e.solution)
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert changed
        assert all(re.fullmatch("[a-z]+", a) and re.fullmatch("[a-z]+", b) for a, b in changed)
        assert e.question == original.question


def test_the_order_of_the_examples_does_not_matter():
    reversed_splits = {name: rows[::-1] for name, rows in SPLITS.items()}
    for attack in ("recall", "neighbour"):
        assert attacked(attack) == attacked(attack, reversed_splits)


def test_solutions_without_a_word_to_change_have_no_neighbours():
    plain = {s: tuple(Example(f"{s}{i}", "?", f"{i} + 1", "1") for i in range(5)) for s in ("train", "val")}
    assert attacked("neighbour", plain) == {"train~neighbour": (), "val~neighbour": ()}


def test_an_unknown_attack_is_refused_with_the_allowed_ones():
    with pytest.raises(BadRequest, match=r"'recal'; allowed: neighbour, recall"):
        attacked("recal")
