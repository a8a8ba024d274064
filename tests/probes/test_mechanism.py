import numpy as np
import pytest

from overmem.probes.mechanism import mechanism, token_excess
from overmem.probes.temperature import lowest, weights_at
from overmem.records import TEMPERATURES


def heated(make_scores, logits, scale, labels):
    """Scores of given logits, one token an example, multiplied by a scale; nll at every temperature from the same."""
    z = scale * logits
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    at = np.arange(len(labels))
    grid = []
    for t in TEMPERATURES:
        tempered = z / t - np.log(np.exp(z / t).sum(-1, keepdims=True))
        grid.append(-tempered[at, labels])
    return make_scores(
        [[x] for x in -log_p[at, labels]],
        hits=log_p.argmax(-1) == labels,
        tokens=labels,
        top1=log_p.max(-1),
        tempered=np.array(grid).T,
    )


@pytest.fixture
def logits_and_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2000, 6)) * 1.2
    labels = np.where(rng.random(2000) < 0.6, logits.argmax(-1), rng.integers(0, 6, 2000))
    return logits, labels


def test_the_two_parts_sum_to_the_nll(make_scores, make_snapshot, value_of):
    snapshot = make_snapshot(scores={"test": make_scores([[0.1, 2.0], [3.0], [0.5, 0.2]])})
    rows = mechanism(snapshot)
    assert value_of(rows, "disagree_share").value == pytest.approx(2 / 5)
    assert value_of(rows, "nll_agree").value == pytest.approx(0.8 / 3)
    assert value_of(rows, "nll_disagree").value == pytest.approx(2.5)
    parts = value_of(rows, "nll_part_agree").value + value_of(rows, "nll_part_disagree").value
    assert parts == pytest.approx(5.8 / 5)


def test_a_model_whose_logits_only_grew_has_a_scale_share_of_1_and_unchanged_argmaxes(
    make_scores, make_snapshot, value_of, logits_and_labels
):
    logits, labels = logits_and_labels
    base = make_snapshot(scores={"test": heated(make_scores, logits, 1.0, labels)}, name="checkpoint-1", step=1)
    grown = make_snapshot(scores={"test": heated(make_scores, logits, 2.2, labels)})
    rows = mechanism(grown, minimum=base)
    assert value_of(rows, "excess").low > 0
    assert value_of(rows, "scale_share").value == pytest.approx(1.0, abs=0.02)
    assert value_of(rows, "excess_agree").value < 0 < value_of(rows, "excess_disagree").value
    assert value_of(rows, "excess").at == {"reference": "checkpoint-1"}


def test_probability_that_moved_elsewhere_is_not_scale(make_scores, make_snapshot, value_of, logits_and_labels):
    logits, labels = logits_and_labels
    moved = logits.copy()
    missed = logits.argmax(-1) != labels
    moved[np.flatnonzero(missed), labels[missed]] -= 3.0
    base = make_snapshot(scores={"test": heated(make_scores, logits, 1.0, labels)})
    shaped = make_snapshot(scores={"test": heated(make_scores, moved, 1.0, labels)})
    measurement = value_of(mechanism(shaped, minimum=base), "scale_share")
    assert measurement.value < 0.6
    assert measurement.low <= measurement.value <= measurement.high


def test_without_an_excess_there_is_no_share_but_a_reason(make_scores, make_snapshot, value_of):
    scores = {"test": make_scores([[1.0, 0.2], [0.5, 2.0]])}
    measurement = value_of(mechanism(make_snapshot(scores=scores), minimum=make_snapshot(scores=scores)), "scale_share")
    assert measurement.value is None
    assert "no excess" in measurement.note


def test_examples_with_other_tokens_are_not_compared(make_scores, make_snapshot, value_of):
    ours, theirs = make_scores([[1.0, 2.0]], tokens=[1, 2]), make_scores([[1.0, 2.0]], tokens=[1, 3])
    rows = mechanism(make_snapshot(scores={"test": ours}), minimum=make_snapshot(scores={"test": theirs}))
    measurement = value_of(rows, "excess")
    assert measurement.value is None
    assert "same tokens" in measurement.note


def test_the_excess_of_each_token_is_kept_with_its_name(make_scores, make_snapshot):
    ours = make_snapshot(scores={"test": make_scores([[1.0], [0.2, 3.0]], tokens=[7, 8, 9], ids=["b", "a"])})
    theirs = make_snapshot(scores={"test": make_scores([[0.1, 1.0], [0.9]], tokens=[8, 9, 7], ids=["a", "b"])})
    excess = token_excess(ours, theirs, "test")
    assert excess.example_ids == ("a", "b")
    assert list(excess.token_id) == [8, 9, 7]
    assert excess.excess == pytest.approx([0.1, 2.0, 0.1])


def test_the_hundredth_of_tokens_that_rose_most_has_its_share_of_the_rise(make_scores, make_snapshot, value_of):
    was, now = [[1.0]] * 200, [[1.01]] * 198 + [[2.0], [2.0]]
    rows = mechanism(
        make_snapshot(scores={"test": make_scores(now)}), minimum=make_snapshot(scores={"test": make_scores(was)})
    )
    assert value_of(rows, "top_percent_share").value == pytest.approx(2 / (2 + 198 * 0.01))


def test_the_minimum_of_a_parabola_in_log_temperature_is_found_exactly():
    x = np.log(np.array(TEMPERATURES))
    curves = np.stack([3 + (x - 0.1) ** 2, 5 + 2 * (x - 0.66) ** 2])
    at, value = lowest(curves)
    assert np.log(at) == pytest.approx([0.1, 0.66])
    assert value == pytest.approx([3.0, 5.0])


def test_a_minimum_at_the_end_of_the_grid_stays_there():
    x = np.log(np.array(TEMPERATURES))
    at, value = lowest(np.stack([x, -x]))
    assert at == pytest.approx([TEMPERATURES[0], TEMPERATURES[-1]])
    assert value == pytest.approx([x[0], -x[-1]])


def test_a_parabola_is_interpolated_exactly_between_grid_points():
    x = np.log(np.array(TEMPERATURES))
    assert (3 * x**2 - x) @ weights_at(1.1) == pytest.approx(3 * np.log(1.1) ** 2 - np.log(1.1))
