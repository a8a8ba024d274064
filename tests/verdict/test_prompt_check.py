"""An audit whose nll is not the trainer's evaluation loss says so first: the model is read otherwise than trained."""

import json

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.records import ShownExample
from overmem.wording.prompt_check import shown_sentence


def _log(run, factor, **more):
    curves = store.read_curves(run, "val")
    nll = curves.nll_sums.sum(1) / curves.token_counts.sum()
    rows = [
        {"step": c.step, "eval_loss": float(factor * x)} | more
        for c, x in zip(curves.checkpoints, nll, strict=True)
        if np.isfinite(x)
    ]
    (run.root / "trainer_state.json").write_text(json.dumps({"log_history": rows}))


def _shown(run, rows, **more):
    store.write_shown(run, ShownExample("val", "val0", ("Question", ":", " 1"), (" 2", "</s>"), rows, **more))


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (1.02, False), (3.0, True), (0.4, True)])
def test_a_difference_beyond_noise_is_the_first_warning(tmp_path, write_run, world, factor, warned):
    run = write_run(tmp_path, world)
    _log(run, factor)
    _shown(run, 500)
    verdict = diagnose(Diagnose(str(run.root), save=False))
    first = verdict.warnings[:1]
    assert any("the trainer logged an evaluation loss" in w and 'scored: " 2|</s>"' in w for w in first) == warned
    assert any("read as it was trained" in s for s in verdict.sentences) != warned


def test_a_log_without_an_evaluation_is_nothing_to_compare_with(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 5, "loss": 1.0}]}')
    verdict = diagnose(Diagnose(str(run.root), save=False))
    assert not any("the trainer logged" in w for w in (*verdict.warnings, *verdict.sentences))


@pytest.mark.parametrize(
    ("evaluated", "by_recipe", "said"),
    [
        (500, True, "by the run's own recipe"),
        (500, False, "as many rows, so they are probably the same"),
        (1319, False, "evaluated 1,319 rows, so val is at most of the same kind"),
        (None, False, "is not known"),
    ],
)
def test_it_says_whether_the_rows_are_those_of_the_trainer(tmp_path, write_run, world, evaluated, by_recipe, said):
    run = write_run(tmp_path, world)
    speed = {} if evaluated is None else {"eval_runtime": 10.0, "eval_samples_per_second": evaluated / 10}
    _log(run, 1.0, **speed)
    _shown(run, 500, by_recipe=by_recipe)
    (sentence,) = [s for s in diagnose(Diagnose(str(run.root), save=False)).sentences if "read as it was" in s]
    assert said in sentence


def test_rows_that_are_the_same_must_agree_more_closely(tmp_path, write_run, world):
    run = write_run(tmp_path, world)
    curves = store.read_curves(run, "val")
    nll = curves.nll_sums[-1] / curves.token_counts
    beyond = 1.06 + 3 * float(np.std(nll)) / np.sqrt(len(nll)) / float(np.mean(nll))
    _log(run, beyond)
    _shown(run, 500)
    assert not diagnose(Diagnose(str(run.root), save=False)).warnings[0].startswith("At ")
    _shown(run, 500, by_recipe=True)
    assert diagnose(Diagnose(str(run.root), save=False)).warnings[0].startswith("At ")


def test_an_example_is_shown_on_one_line_whatever_its_tokens_are():
    shown = ShownExample("val", "x", ("a", "\n", "\x1b[31m", "\u202e"), ("b\tc",), 3, cut=True)
    text = shown_sentence(shown)
    assert 'not scored: "a|\\n|\ufffd[31m|\ufffd"; scored: "b\\tc" (shortened)' in text
