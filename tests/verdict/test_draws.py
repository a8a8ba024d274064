"""Accuracy as the mean over draws: read from the run, judged with fewer questions, and with no more false alarms."""

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.records import Checkpoint, Curves
from overmem.regime import regimes

DRAWS, QUESTIONS, CHECKPOINTS = 8, 300, 6


@pytest.fixture
def run(tmp_path, write_run, world):
    """A written run whose questions have two draws each besides: right as often as the greedy one, not together."""
    found = write_run(tmp_path, world)
    for checkpoint in store.read_checkpoints(found):
        for split in ("val", "test"):
            if not found.unit_path(checkpoint.name, split, "samples").is_file():
                continue
            greedy = store.read_samples(found, checkpoint.name, split)
            draws = [greedy, *(moved(greedy, draw) for draw in (1, 2))]
            joined = type(greedy)(*(together([getattr(s, f) for s in draws]) for f in greedy.__dataclass_fields__))
            store.write_samples(found, checkpoint.name, split, joined, weights="w", request="r")
    return found


def moved(samples, draw):
    """The same completions as another draw, each with the correctness of the question `draw` places on."""
    fields = {f: getattr(samples, f) for f in samples.__dataclass_fields__}
    fields |= {"draw": samples.draw + draw, "temperature": samples.temperature + np.float32(0.7)}
    return type(samples)(**fields | {"correct": np.roll(samples.correct, draw - 1)})


def together(values):
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else tuple(x for v in values for x in v)


def test_the_mean_over_draws_takes_the_place_of_the_greedy_answer(run):
    greedy, drawn = (store.read_curves(run, "val", draws=draws) for draws in (False, True))
    want = (greedy.correct[1:] + np.roll(greedy.correct[1:], 1, axis=1)) / 2
    np.testing.assert_array_equal(drawn.correct[1:], want)
    np.testing.assert_array_equal(drawn.nll_sums, greedy.nll_sums)
    verdict = diagnose(Diagnose(str(run.root), accuracy="draws"))
    values = [v.accuracy.value for v in verdict.checkpoints if v.accuracy.value is not None]
    assert values == pytest.approx(list(want.mean(1)))
    assert any(s.startswith("Accuracy is the mean over a question's draws") for s in verdict.sentences)
    assert verdict.knobs["accuracy"] == "draws"


def test_without_draws_it_is_refused(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    with pytest.raises(BadRequest, match="allowed: greedy, or audit with --draws 8 first"):
        diagnose(Diagnose(str(run.root), accuracy="draws"))


def simulated(random, lost, draws):
    """Curves of checkpoints of equal accuracy, but for the last, and how often that one is right in truth."""
    chance = random.beta(0.6, 0.9, QUESTIONS)
    truth = np.clip(chance + random.normal(0, 0.15, (CHECKPOINTS, QUESTIONS)), 0, 1)
    truth[-1] *= 1 - lost / truth[-1].mean()
    correct = random.binomial(draws, truth) / draws
    nll = np.tile(random.gamma(20, 0.5, QUESTIONS), (CHECKPOINTS, 1))
    steps = tuple(Checkpoint(f"checkpoint-{i}", i) for i in range(1, CHECKPOINTS + 1))
    return Curves(steps, nll, np.full(QUESTIONS, 20), correct)


def kept(lost, draws, runs=200):
    """Share of simulated runs whose last checkpoint is shown to have kept its accuracy."""
    random = np.random.default_rng([7, draws, int(1000 * lost)])
    verdicts = [regimes(simulated(random, lost, draws), d_nll=0.05, margin=0.03, alpha=0.05)[-1] for _ in range(runs)]
    return np.mean([v.evidence["kept"] for v in verdicts])


def test_draws_decide_with_fewer_questions_and_hold_the_error_rate():
    assert kept(0.0, DRAWS) > kept(0.0, 1) + 0.2
    assert kept(0.05, DRAWS) <= 0.05
