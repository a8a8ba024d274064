import dataclasses
import math
import zlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from overmem.probes.attacks import ATTACKS, Tokens, blind, ez, minkpp, wbc
from overmem.probes.membership import membership
from overmem.probes.perplexity import perplexity
from overmem.records import Example
from overmem.statistics.roc import auroc, tpr_at


def tokens_of(logprob, reference=(), argmax=None, text="abc", **more):
    more["reference"] = reference
    logprob = np.array(logprob, dtype=np.float64)
    argmax = np.zeros(len(logprob), dtype=bool) if argmax is None else np.array(argmax, dtype=bool)
    others = {k: np.array(v, dtype=np.float64) for k, v in more.items()}
    return Tokens(logprob, argmax, np.full(len(logprob), -5.0), np.full(len(logprob), 2.0), text, **others)


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_auroc_is_scikit_learns_with_ties_and_without(digits):
    rng = np.random.default_rng(digits)
    members, others = np.round(rng.normal(0.5, 1, 60), digits), np.round(rng.normal(0, 1, 90), digits)
    truth = np.r_[np.ones(60), np.zeros(90)]
    assert auroc(members, others).value == pytest.approx(roc_auc_score(truth, np.r_[members, others]))


def test_the_variance_of_auroc_is_delongs():
    members, others = np.array([3.0, 1.0, 2.5, 0.4]), np.array([0.5, 2.0, 0.1])
    wins = (members[:, None] > others[None]) + 0.5 * (members[:, None] == others[None])
    expected = np.var(wins.mean(1), ddof=1) / 4 + np.var(wins.mean(0), ddof=1) / 3
    assert auroc(members, others).stderr == pytest.approx(math.sqrt(expected))


def test_scores_that_do_not_overlap_have_an_interval_that_is_not_empty():
    estimate = auroc(np.array([3.0, 4.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    assert estimate.value == 1.0
    assert estimate.low < 0.8


def test_true_positive_rate_is_that_of_scikit_learns_curve():
    rng = np.random.default_rng(3)
    members, others = rng.normal(1, 1, 300), rng.normal(0, 1, 400)
    false, true, _ = roc_curve(np.r_[np.ones(300), np.zeros(400)], np.r_[members, others], drop_intermediate=False)
    assert tpr_at(0.01, members, others).value == pytest.approx(true[false <= 0.01].max())


def test_a_rate_that_the_non_members_cannot_resolve_is_reported():
    estimate = tpr_at(0.001, np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.5]))
    assert estimate.value == pytest.approx(1 / 3)
    assert "cannot resolve" in estimate.note


def test_min_k_plus_plus_is_its_definition_on_full_logits():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(30, 50)) * 2
    labels = rng.integers(0, 50, 30)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    p = np.exp(log_p)
    mean = (p * log_p).sum(-1)
    spread = np.sqrt((p * log_p**2).sum(-1) - mean**2)
    standard = (log_p[np.arange(30), labels] - mean) / spread
    expected = np.mean(np.sort(standard)[: int(0.2 * 30)])
    tokens = Tokens(log_p[np.arange(30), labels], log_p.argmax(-1) == labels, mean, spread)
    assert minkpp(tokens) == pytest.approx(expected, rel=1e-12)


def test_attacks_by_hand():
    beside = {"prefixed": [-2.0, -2.0, -6.0, -8.0, -12.0], "neighbours": [4.5, 5.5]}
    tokens = tokens_of([-1.0, -2.0, -3.0, -4.0, -10.0], [-2.0, -2.0, -2.0, -8.0, -10.0], text="hello", **beside)
    result = {name: attack(tokens) for name, attack in ATTACKS.items()}
    assert result["loss"] == pytest.approx(-4.0)
    assert result["zlib"] == pytest.approx(-20 / len(zlib.compress(b"hello")))
    assert result["mink"] == pytest.approx(-10.0)
    assert result["minkpp"] == pytest.approx((-10 + 5) / 2)
    assert result["diff"] == pytest.approx(4 / 5)
    assert result["ratio"] == pytest.approx(24 / 20)
    assert result["ez"] == pytest.approx((5 + 0.1) / (1 + 0.1))
    assert result["recall"] == pytest.approx(30 / 20)
    assert result["neighbour"] == pytest.approx(5 - 4)


def test_windows_are_compared_by_their_sums():
    tokens = tokens_of([-1.0, -3.0, -1.0], [-2.0, -2.0, -2.0])
    assert wbc(tokens) == pytest.approx(np.mean([0.0, 1.0]))


def test_ez_does_not_invert_on_fully_memorized_text():
    memorized = tokens_of([-1e-6] * 20, [-1.0] * 20, [True] * 20)
    half_known = tokens_of([-0.1] * 15 + [-2.0] * 5, [-1.0] * 15 + [-2.1] * 5, [True] * 15 + [False] * 5)
    unseen = tokens_of([-1.5] * 20, [-1.0] * 20)
    assert ez(memorized) > ez(half_known) > ez(unseen)


def test_the_blind_baseline_is_at_chance_on_equal_topics_and_perfect_on_different_ones():
    rng = np.random.default_rng(5)
    pool = [f"w{i}" for i in range(60)]
    draw = [" ".join(rng.choice(pool, 12)) for _ in range(400)]
    null = auroc(*blind(draw[:200], draw[200:]))
    assert null.low < 0.5 < null.high
    other = [text.replace("w1", "z1") for text in draw[200:]]
    assert auroc(*blind(draw[:200], other)).value > 0.9


def test_rephrasings_of_one_question_do_not_make_the_blind_baseline_recognize_its_words():
    rng = np.random.default_rng(6)
    questions = [" ".join(rng.choice([f"w{i}" for i in range(400)], 12)) for _ in range(80)]
    rephrased = [f"{text} v{i}" for text in questions for i in range(5)]
    groups = [str(i) for i in range(80) for _ in range(5)]
    split = (groups[:200], groups[200:])
    assert auroc(*blind(rephrased[:200], rephrased[200:])).low > 0.9
    assert abs(auroc(*blind(rephrased[:200], rephrased[200:], groups=split)).value - 0.5) < 0.2


@pytest.fixture
def runs(make_scores, make_snapshot):
    ids = [f"e{i:03d}" for i in range(20)]
    examples = {s: tuple(Example(i, f"{s} {i}?", "so it is", "1") for i in ids) for s in ("train", "val")}
    rng = np.random.default_rng(6)
    before = {s: [list(rng.exponential(1.0, 5)) for _ in ids] for s in ("train", "val")}
    after = {"train": [[x * 0.2 for x in one] for one in before["train"]], "val": before["val"]}
    after["train"][7] = [0.0] * 5

    def snapshot(nlls):
        return make_snapshot(scores={s: make_scores(x, ids=ids) for s, x in nlls.items()}, examples=examples)

    return snapshot(before), snapshot(after)


def test_members_whose_loss_fell_are_found_and_named(runs, value_of):
    base, tuned = runs
    rows = membership(tuned, base=base)
    assert value_of(rows, "diff_auroc").value == 1.0
    gains = base.scores["train"].nll_sums - tuned.scores["train"].nll_sums
    assert value_of(rows, "exposed", rank=1).at == {"rank": 1, "example": f"e{gains.argmax():03d}", "by": "diff"}
    assert value_of(rows, "exposed", rank=1).value == pytest.approx(gains.max() / 5)


def test_before_training_nothing_leaks_against_the_base_model(runs, value_of):
    base, _ = runs
    assert value_of(membership(base, base=base), "diff_auroc").value == 0.5


def test_without_the_base_model_only_the_attacks_that_need_it_have_no_value(runs, value_of):
    rows = membership(runs[1], base=None)
    assert value_of(rows, "wbc_auroc").value is None
    assert "base model" in value_of(rows, "wbc_auroc").note
    assert value_of(rows, "loss_auroc").value > 0.5
    assert value_of(rows, "exposed", rank=1).at == {"rank": 1, "example": "e007", "by": "loss"}


@pytest.fixture
def given_otherwise(runs):
    """The tuned run, whose training solutions alone suffer from a prefix and from a change of words."""
    tuned = runs[1]

    def moved(split, by, names):
        scores = tuned.scores[split]
        return dataclasses.replace(scores, logprob=scores.logprob - by, example_ids=tuple(names(scores.example_ids)))

    more = {
        f"{split}~{attack}": moved(split, by if split == "train" else 0.0, names)
        for attack, by, names in (("recall", 2.0, list), ("neighbour", 3.0, lambda ids: [f"{i}~1" for i in ids]))
        for split in ("train", "val")
    }
    return dataclasses.replace(tuned, scores={**tuned.scores, **more})


@pytest.mark.parametrize("attack", ["recall", "neighbour"])
def test_an_attacked_solution_is_paired_with_the_original(given_otherwise, value_of, attack):
    assert value_of(membership(given_otherwise), f"{attack}_auroc").value == 1.0


@pytest.mark.parametrize("attack", ["recall", "neighbour"])
def test_an_attack_that_was_not_requested_has_no_value_and_names_the_option(runs, value_of, attack):
    measurement = value_of(membership(runs[1]), f"{attack}_auroc")
    assert measurement.value is None
    assert f"--attacks {attack}" in measurement.note


def test_other_tokens_after_the_prefix_are_not_compared(given_otherwise, value_of):
    other = dataclasses.replace(
        given_otherwise.scores["train~recall"], token_id=given_otherwise.scores["train"].token_id + 1
    )
    scores = {**given_otherwise.scores, "train~recall": other}
    assert value_of(membership(dataclasses.replace(given_otherwise, scores=scores)), "recall_auroc").value is None


def test_the_extra_splits_of_an_attack_have_no_measurements_of_their_own(given_otherwise):
    assert {r.split for r in perplexity(given_otherwise)} == {"train", "val"}
