"""Thousands of generated curves: no sentence may say what its figures do not show."""

import re

import numpy as np
import pytest

from overmem.records import Checkpoint, Limits
from overmem.seeds import generator
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.wording.verdict import worded

SEEDS = [*range(300), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(300, 3000))]


def generated(seed):
    """A curve as trainers log them: few or many points, rounded, with ties, falls, rises, lost accuracies and NaN."""
    rng = generator("true words", seed)
    count = int(rng.integers(2, 25))
    t = np.linspace(1 / count, 1, count)
    low, rise = rng.uniform(0.02, 2.0), rng.choice([0, 0, 0.1, 0.5, 1.5])
    nll = low + rng.uniform(0, 1) * np.exp(-t / 0.1) + rise * np.clip(t - rng.uniform(0, 1), 0, None)
    top, lost = rng.uniform(0.02, 1.0), rng.choice([0, 0, 0.01, 0.1, 0.5])
    accuracy = top * (1 - np.exp(-t / rng.uniform(0.02, 0.5))) - lost * np.clip(t - 0.5, 0, None)
    noise = rng.choice([0, 0.001, 0.01, 0.05])
    nll = np.round(np.abs(nll + noise * rng.standard_normal(count)), int(rng.integers(2, 5)))
    accuracy = np.round(np.clip(accuracy + noise * rng.standard_normal(count), 0, 1), int(rng.integers(2, 4)))
    nll[rng.random(count) < 0.03] = np.nan
    accuracy[rng.random(count) < 0.03] = np.nan
    checkpoints = tuple(Checkpoint(f"checkpoint-{10 * i}", 10 * i, i / 10) for i in range(1, count + 1))
    n = None if rng.random() < 0.5 else int(rng.integers(50, 5000))
    return LoggedCurve(checkpoints, nll, accuracy, n)


@pytest.mark.parametrize("seed", SEEDS)
def test_sentences_match_the_figures(seed):
    curve = generated(seed)
    assessment = assess(Evidence(val=curve), Limits())
    verdict = worded(assessment, options={})
    for v in verdict.checkpoints:
        assert v.reason
        costly = bool(re.search(r"(?<!whether )perplexity is costly:", v.reason, re.IGNORECASE))
        cheap = "perplexity is near" in v.reason
        assert costly == (v.tests.costly and v.tests.choices_at_chance is None)
        if costly:
            assert v.excess.low is None or v.excess.low > 0
        assert not (costly and cheap)
        kept, lower = (re.search(rf"(?<!whether )accuracy is {w}:", v.reason, re.IGNORECASE) for w in ("kept", "lower"))
        assert not (kept and lower)
        if v.regime in ("healthy", "over-memorized"):
            assert v.tests.kept
        if v.regime == "healthy" and v.checkpoint.step > 0:
            assert not v.tests.costly
    everything = " ".join((verdict.headline, *verdict.sentences, *(v.reason for v in verdict.checkpoints)))
    assert "nan" not in re.findall(r"[a-z]+", everything.lower())
    assert "-0.0 points" not in everything
    if verdict.headline.startswith("Ship ") and not verdict.headline.startswith("Ship none"):
        assert verdict.recommended.checkpoint in verdict.headline
    if "accuracy has fallen" in verdict.headline:
        assert verdict.checkpoints[-1].accuracy.value < max(
            v.accuracy.value for v in verdict.checkpoints if v.accuracy.value is not None
        )
    assert_not_dominated(verdict, "lower perplexity is less accurate" in verdict.headline)


def assert_not_dominated(verdict, says_so):
    """No candidate beats the recommended one in both figures; and the headline's reason holds where it is given."""
    if verdict.recommended is None:
        return
    figures = {v.checkpoint.name: (v.nll.value, v.accuracy.value) for v in verdict.checkpoints if v.is_judged}
    nll, accuracy = figures[verdict.recommended.checkpoint]
    for other_nll, other_accuracy in figures.values():
        assert not (other_nll <= nll and other_accuracy >= accuracy and (other_nll < nll or other_accuracy > accuracy))
        if says_so and other_nll < nll:
            assert other_accuracy < accuracy


@pytest.mark.slow
def test_no_dominated_checkpoint_is_recommended_in_2000_generated_runs():
    recommended = 0
    for seed in range(10_000, 12_000):
        curve = generated(seed)
        assessment = assess(Evidence(val=curve), Limits())
        verdict = assessment.recommended
        if verdict is None:
            continue
        recommended += 1
        i = [c.name for c in curve.checkpoints].index(verdict.checkpoint)
        with np.errstate(invalid="ignore"):
            as_good = (curve.nll <= curve.nll[i]) & (curve.accuracy >= curve.accuracy[i])
            better = (curve.nll < curve.nll[i]) | (curve.accuracy > curve.accuracy[i])
        assert not (as_good & better).any(), seed
    assert recommended > 1500
