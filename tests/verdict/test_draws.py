"""Accuracy as the mean over draws: read from the run, judged with fewer questions, and with no more false alarms."""

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from studies.draws import kept


@pytest.fixture
def run(tmp_path, write_run, world):
    """A written run whose questions have two draws each besides: right as often as the greedy one, not together."""
    run = write_run(tmp_path, world)
    for checkpoint in store.read_checkpoints(run):
        for split in ("val", "test"):
            if not run.unit_path(checkpoint.name, split, "samples").is_file():
                continue
            greedy = store.read_samples(run, checkpoint.name, split)
            draws = [greedy, *(moved(greedy, draw) for draw in (1, 2))]
            joined = type(greedy)(*(together([getattr(s, f) for s in draws]) for f in greedy.__dataclass_fields__))
            store.write_samples(run, checkpoint.name, split, joined, weights="w", request="r")
    return run


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


def test_draws_decide_with_fewer_questions_and_hold_the_error_rate():
    (one, eight), lost = (kept(300, draws, 0.0, 120) for draws in (1, 8)), kept(300, 8, 0.05, 120)
    assert eight.low > one.high
    assert lost.value <= 0.05
