"""Thousands of generated curves and audits: no sentence may say what its figures do not show."""

import dataclasses

import numpy as np
import pytest

from overmem.records import Checkpoint, Limits
from overmem.seeds import generator
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.turning_point import turning_point
from overmem.wording.logged import loss_only_headline, turning_sentences
from overmem.wording.verdict import worded
from studies.worlds import World, drawn
from tests.wording import claims

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
def test_what_is_said_is_what_the_figures_show(seed):
    curve = generated(seed)
    assessment = assess(Evidence(val=curve, trainers_choice=curve.checkpoints[0].name), Limits())
    verdict = worded(assessment, options={})
    claims.check(verdict)
    if verdict.headline.startswith("Ship ") and not verdict.headline.startswith("Ship none"):
        assert verdict.recommended.checkpoint in verdict.headline
    if "accuracy has fallen" in verdict.headline:
        assert verdict.checkpoints[-1].accuracy.value < max(
            v.accuracy.value for v in verdict.checkpoints if v.accuracy.value is not None
        )
    assert_not_dominated(verdict, "lower perplexity is less accurate" in verdict.headline)
    score = worded(assessment, options={}, accuracy_name="eval_rougeL")
    assert "accura" not in " ".join((score.headline, *score.sentences, *(v.reason for v in score.checkpoints)))
    turn = turning_point(curve.checkpoints, curve.nll)
    names = [c.name for c in curve.checkpoints]
    claims.check_turn((loss_only_headline(turn), *turning_sentences(turn)), curve.nll, names)
    if turn is not None:  # the provisional choice of a loss alone is the lowest: nothing can beat it
        assert turn.nll == np.nanmin(curve.nll)


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(s, marks=pytest.mark.slow) for s in range(12, 400))])
def test_what_is_said_of_an_audit_is_what_its_figures_show(seed):
    rng = generator("true words of audits", seed)
    world = World(
        n=int(rng.choice([60, 200, 500])),
        memory=float(rng.choice([0.0, 0.5, 0.8])),
        learning=float(rng.choice([0.07, 0.5, 1.2])),
        rise=float(rng.choice([0.0, 0.2, 0.8])),
        loss=float(rng.choice([0.0, 0.02, 0.2])),
        decline=str(rng.choice(["none", "soon", "steady", "peak"])),
        checkpoints=int(rng.choice([4, 8, 12])),
    )
    curves = drawn(world, f"true words {seed}")
    evidence = Evidence(val=curves["val"], test=curves["test"], train=curves["train"])
    claims.check(worded(assess(evidence, Limits()), options={}))


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


LIES = {
    "a rise that is not the figures'": lambda v: _said(v, "0.400 nats higher", "0.300 nats higher"),
    "a price that is not the choice's": lambda v: _said(v, "would cost", "would gain"),
    "a regime that is not the last one's": lambda v: _said(v, "the run is over-memorized. ", "the run is healthy. "),
    "a noise that is none": lambda v: _said(v, ", which is within noise", ""),
    "an accuracy of another checkpoint": lambda v: _said(v, "its accuracy is 8", "its accuracy is 7"),
    "an interval turned round": lambda v: _said(v, "95% interval", "95% interval 9 to 1, 95% interval"),
    "an n that nobody measured": lambda v: _said(v, "n = ", "n = 77"),
    "a headline of another end": lambda v: dataclasses.replace(v, headline="Ship x: the run is healthy to its end."),
}


def _said(verdict, words, instead):
    changed = tuple(s.replace(words, instead) for s in verdict.sentences)
    assert changed != verdict.sentences, f"no sentence says {words!r}"
    return dataclasses.replace(verdict, sentences=changed)


@pytest.mark.parametrize("lie", LIES)
def test_a_sentence_that_lies_is_seen(lie):
    steps = tuple(Checkpoint(f"checkpoint-{100 * i}", 100 * i, float(i)) for i in range(1, 10))
    nll = np.array([0.60, 0.45, 0.40, 0.41, 0.45, 0.52, 0.60, 0.70, 0.80])
    accuracy = np.array([0.40, 0.70, 0.805, 0.81, 0.815, 0.81, 0.812, 0.811, 0.812])
    curve = LoggedCurve(steps, nll, accuracy, 2000)
    verdict = worded(assess(Evidence(val=curve), Limits()), options={})
    claims.check(verdict)
    with pytest.raises(AssertionError):
        claims.check(LIES[lie](verdict))


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
