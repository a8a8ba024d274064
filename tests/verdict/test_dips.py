from dataclasses import replace

import numpy as np
import pytest

from overmem.verdict.assess import assess
from overmem.verdict.dips import dips
from overmem.verdict.evidence import Evidence
from overmem.wording.dips import dip_sentences
from studies.worlds import drawn
from studies.worlds.kinds import OVER, SHAPES


def with_fall(curves, rows, share, seed=0):
    """The same curves, with a share of the right answers wrong at some checkpoints, the same ones at each."""
    lost = np.random.default_rng(seed).random(curves.correct.shape[1]) < share
    correct = curves.correct.copy()
    correct[rows] = np.where(lost, 0.0, correct[rows])
    return replace(curves, correct=correct)


def level(count=10, luck=0.0, n=500, seed=0, questions=0.1):
    """Means of a level run, and the covariance of their errors."""
    rng = np.random.default_rng(seed)
    covariance = np.full((count, count), 0.16 / n) + np.eye(count) * questions / 2 / n
    return 0.8 + rng.multivariate_normal(np.zeros(count), covariance) + luck * rng.standard_normal(count), covariance


def test_a_fall_that_comes_back_is_a_dip_and_one_at_the_end_is_open():
    means, covariance = level()
    means[4] -= 0.12
    means[9] -= 0.12
    first, last = dips(means, covariance, 500, 0.03)
    assert (first.first, first.last, first.after is None) == (4, 4, False)
    assert (last.first, last.last, last.after) == (9, 9, None)
    assert first.loss.low < 0.12 < first.loss.high


def test_a_decline_is_no_dip():
    means, covariance = level()
    assert dips(means - np.clip(np.arange(10) - 4, 0, None) * 0.04, covariance, 500, 0.03) == ()
    assert dips(means - 0.12 * (np.arange(10) > 5), covariance, 500, 0.03) == ()


@pytest.mark.parametrize("count", [4, 10, 40])
def test_level_runs_rarely_have_one(count):
    found = [bool(dips(*level(count, seed=seed), 500, 0.005)) for seed in range(200)]
    assert np.mean(found) < 0.05


def test_a_dip_is_told_and_its_checkpoint_is_not_called_over_fitted():
    curves = drawn(replace(OVER, n=500), "dip", splits=("val", "train"))
    val = with_fall(curves["val"], [6], 0.2)
    assessment = assess(Evidence(val=val, train=curves["train"]))
    (dip,) = assessment.dips
    assert dip.checkpoints == (val.checkpoints[6].name,)
    assert assessment.regimes[val.checkpoints[6].name] == "undecided"
    (sentence,) = dip_sentences(assessment.dips)
    assert sentence.startswith("Accuracy dips at checkpoint-600 and comes back: ")
    assert sentence.endswith("That is a dip of these weights, not a decline of the run.")


def test_over_fitted_runs_have_no_dip():
    for kind in ("over-fitted", "over-fitted, steadily"):
        curves = drawn(SHAPES[kind], "dip", splits=("val", "train"))
        assert assess(Evidence(val=curves["val"], train=curves["train"])).dips == ()
