"""An audit whose nll is not the trainer's evaluation loss says so first: the model is read otherwise than trained."""

import json

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose


def _log(run, factor):
    curves = store.read_curves(run, "val")
    nll = curves.nll_sums.sum(1) / curves.token_counts.sum()
    rows = [
        {"step": c.step, "eval_loss": float(factor * x)}
        for c, x in zip(curves.checkpoints, nll, strict=True)
        if np.isfinite(x)
    ]
    (run.root / "trainer_state.json").write_text(json.dumps({"log_history": rows}))


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (1.02, False), (3.0, True), (0.4, True)])
def test_a_difference_beyond_noise_is_the_first_warning(tmp_path, write_run, world, factor, warned):
    run = write_run(tmp_path, world)
    _log(run, factor)
    first = diagnose(Diagnose(str(run.root), save=False)).warnings[:1]
    assert (
        any("the trainer logged an evaluation loss" in w and "One example as the model read it" in w for w in first)
        == warned
    )


def test_a_log_without_an_evaluation_is_nothing_to_compare_with(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 5, "loss": 1.0}]}')
    assert not any("the trainer logged" in w for w in diagnose(Diagnose(str(run.root), save=False)).warnings)
