"""What is said of a log alone fits the figures that the log has."""

import json
import re

import numpy as np
import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose, markdown
from overmem.report.findings import read_findings
from overmem.report.page import page


def judged(folder, rows):
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return diagnose(Diagnose(str(folder)))


def rows(losses, accuracies=None, metric="eval_accuracy"):
    return [
        {"step": 50 * i, "epoch": float(i), "eval_loss": loss}
        | ({} if accuracies is None else {metric: accuracies[i - 1]})
        for i, loss in enumerate(losses, 1)
    ]


RISING = [0.9, 0.52, 0.40, 0.43, 0.52, 0.61, 0.72, 0.80]
KEPT = [0.40, 0.70, 0.801, 0.799, 0.80, 0.802, 0.80, 0.801]


def test_the_rise_as_logged_is_the_difference_of_the_two_losses_that_are_shown(tmp_path):
    verdict = judged(tmp_path, rows(RISING, KEPT))
    assert verdict.severity.excess.value == pytest.approx(0.80 - 0.40)
    (sentence,) = [s for s in verdict.sentences if "As logged, the loss" in s]
    assert "is 0.400 nats higher than at checkpoint-150" in sentence
    assert not any("a token of the reference" in s for s in verdict.sentences)


def test_what_another_choice_costs_has_an_interval_and_is_called_noise_where_it_is(tmp_path):
    verdict = judged(tmp_path, rows(RISING, KEPT))
    last = next(c for c in verdict.choices if c.rule == "last")
    assert last.regret.low < 0 < last.regret.high
    sentences = [s for s in verdict.sentences if s.startswith("Shipping checkpoint-400 instead")]
    assert all("within noise" in s or "leave accuracy as it is" in s for s in sentences)


def test_one_evaluation_is_compared_with_nothing_and_recommended_for_no_merit(tmp_path):
    verdict = judged(tmp_path, rows([0.5], [0.8]))
    assert "the only one that was evaluated" in verdict.best.reason
    assert not any("its minimum" in s for s in verdict.sentences)
    assert verdict.checkpoints[0].excess.value is None


def test_a_divergence_is_in_the_headline_and_the_noise_is_that_of_the_sound_part(tmp_path):
    broken = judged(tmp_path, rows([*RISING, float("nan"), float("nan")], [*KEPT, 0.0, 0.0]))
    assert "The run diverged: ship nothing from checkpoint-450 on." in broken.headline
    assert "Accuracy is 0.0% over its stretch" in broken.checkpoints[-1].reason
    picked = next(c for c in broken.choices if c.rule == "min-nll")
    assert picked.regret.high - picked.regret.low < 0.02
    alone = judged(tmp_path, rows([0.9, 0.5, 0.45, 0.5, float("nan")]))
    assert "The run diverged: ship nothing from checkpoint-250 on." in alone.headline


def test_a_loss_that_is_lowest_at_the_first_evaluation_may_have_turned_before_it(tmp_path):
    verdict = judged(tmp_path, rows([0.5, 0.6, 0.7, 0.8]))
    assert "at the first evaluation" in verdict.headline
    (turned,) = [s for s in verdict.sentences if "lowest at the first evaluation" in s]
    assert "assumed noise" in turned


def test_a_score_keeps_its_own_name(tmp_path):
    verdict = judged(tmp_path, rows(RISING, KEPT, "eval_rougeL"))
    assert verdict.accuracy_name == "eval_rougeL"
    assert "eval_rougeL" in str(verdict)
    assert "eval\\_rougeL" in markdown(verdict)
    assert "judged in its place" in verdict.warnings[0]
    errors = judged(tmp_path, rows(RISING, [1 - a for a in KEPT], "eval_wer"))
    assert errors.accuracy_name == "1 - eval_wer"
    assert judged(tmp_path, rows(RISING, KEPT)).accuracy_name == "accuracy"


def test_the_best_stretch_is_not_compared_with_itself_by_an_error_of_nothing(tmp_path):
    verdict = judged(tmp_path, rows([1.1, 1.0, 0.9], [14 / 31, 16 / 31, 23 / 31]))
    assert "which is the best of the run" in verdict.checkpoints[-1].reason
    assert "at worst 0.0" not in " ".join(v.reason for v in verdict.checkpoints)


def test_the_last_one_does_as_well_only_where_that_is_within_noise(tmp_path):
    falling = list(np.linspace(1.0, 0.5, 10))
    verdict = judged(tmp_path, rows(falling, [0.3, 0.5, 0.6, 0.7, 0.75, 0.78, 0.79, 0.80, 0.83, 0.80]))
    last = next((c for c in verdict.choices if c.rule == "last"), None)
    does = "the last one would do as well" in verdict.headline
    assert not does or last.regret.low <= 0


def test_a_run_that_does_not_beat_the_model_it_began_with_is_not_shipped(tmp_path):
    before = {"step": 0, "epoch": 0.0, "eval_loss": 3.0, "eval_accuracy": 0.85}
    verdict = judged(tmp_path, [before, *rows(RISING, KEPT)])
    assert verdict.headline.startswith("Ship none")
    assert verdict.recommended is None
    assert judged(tmp_path, [before | {"eval_accuracy": 0.1}, *rows(RISING, KEPT)]).recommended is not None
    level = judged(tmp_path, [before | {"eval_accuracy": 0.8005}, *rows(RISING, KEPT)])
    assert level.recommended is None or "not shown to be better than the base model" in level.headline


def test_no_interval_of_a_loss_reaches_below_nothing(tmp_path):
    verdict = judged(tmp_path, rows([0.05, 0.01, 0.004, 0.003, 0.0031, 0.0029, 0.0028, 0.0028]))
    assert all(v.nll.low >= 0 for v in verdict.checkpoints)
    assert "-0.000" not in str(verdict)


@pytest.mark.parametrize(
    ("metric", "values", "name"),
    [("eval_rougeL", KEPT, "eval_rougeL"), ("eval_wer", [1 - a for a in KEPT], "`1-eval_wer`")],
)
def test_another_score_is_called_by_its_name_wherever_an_accuracy_would_be_spoken_of(tmp_path, metric, values, name):
    verdict = judged(tmp_path, rows(RISING, values, metric))
    said = [verdict.headline, *verdict.sentences, *(v.reason for v in verdict.checkpoints), verdict.best.reason]
    assert not any("accura" in text for text in said)
    assert f"{name} is kept: 80.1% over its stretch" in verdict.checkpoints[-1].reason
    text = write_page(tmp_path, verdict)
    assert "accura" not in text[text.index("<h1>") : text.index("Read with care")]


def write_page(folder, verdict):
    run = store.open_run(folder)
    store.write_verdict(run, verdict)
    return page(read_findings(run))


def test_nothing_of_a_log_is_chosen_on_val_or_recited(tmp_path):
    verdict = judged(tmp_path, rows(RISING, KEPT))
    assert verdict.regime == "over-memorized"
    assert not any("on val" in sentence for sentence in verdict.sentences)
    assert "whether it recites its training rows is not known" in write_page(tmp_path, verdict)


def test_losses_near_nothing_are_told_apart(tmp_path):
    losses = [0.02, 0.0072, 0.0041, 0.0044, 0.0056, 0.0069, 0.0083, 0.0096]
    verdict = judged(tmp_path, rows(losses, KEPT))
    assert verdict.rows()[2][1].startswith("0.0041")
    assert "0.0041" in markdown(verdict)
    last = verdict.checkpoints[-1]
    assert last.regime == "over-memorized"
    assert "perplexity is costly: by its trend 0.00" in last.reason
    assert "1.01 times" in last.reason or "times its minimum" not in last.reason
    (sentence,) = [s for s in verdict.sentences if "As logged, the loss" in s]
    assert "is 0.0055 nats higher than at checkpoint-150" in sentence
    alone = judged(tmp_path, rows(losses))
    assert any("(0.0041 nats)" in s and "+0.0055 nats" in s for s in alone.sentences)


def test_few_evaluations_of_unknown_size_are_the_first_warning(tmp_path):
    few = judged(tmp_path, rows([0.9, 0.5, 0.4, 0.6], [0.4, 0.7, 0.8123456, 0.8012345]))
    assert few.warnings[0].startswith("Too few evaluations to see the noise of accuracy: a standard error of 2 points")
    assert "--eval-rows" in few.warnings[0]
    many = judged(tmp_path, rows(RISING, KEPT))
    assert not any("Too few evaluations" in w for w in many.warnings)


def test_a_run_that_diverged_before_it_solved_anything_is_not_shipped_for_its_end(tmp_path):
    verdict = judged(tmp_path, rows([3.45, 3.45, 3.87, 22.5, 45.9], [0.9999] * 5, "eval_wer"))
    assert "almost nothing is solved" in verdict.headline
    assert "The run diverged: ship nothing from checkpoint-200 on." in verdict.headline
    said = " ".join([*verdict.sentences, *(v.reason for v in verdict.checkpoints)])
    assert "not a number" not in said  # 22.5 is one, if no loss of a model


def test_evaluations_that_are_all_the_same_are_remarked_on_first(tmp_path):
    verdict = judged(tmp_path, rows([0.3732] * 4, [0.866] * 4))
    assert verdict.warnings[0].startswith("All 4 evaluations have the same loss and the same score to the last digit")
    assert not any("to the last digit" in w for w in judged(tmp_path, rows([0.4, 0.4, 0.41])).warnings)


def test_a_run_that_was_still_improving_is_said_to_have_been(tmp_path):
    verdict = judged(tmp_path, rows([0.9, 0.5, 0.4], [0.3, 0.5, 0.6]))
    assert "still improving" in verdict.headline or verdict.regime != "healthy"


def test_what_is_near_its_minimum_lies_within_the_limit_that_is_shown(tmp_path):
    losses = [0.704, 0.718, 0.738, 0.775, 0.724, 0.694, 0.704, 0.593, 0.698, 0.735, 0.70, 0.73, 0.78, 0.86]
    losses += [0.92, 0.95, 0.956, 0.954]
    verdict = judged(tmp_path, rows(losses, [2 / 7] * 4 + [4 / 7] * 3 + [5 / 7] * 3 + [4 / 7] * 8))
    assert "perplexity has not risen yet: 0.182 nats above its later minimum" in verdict.checkpoints[3].reason
    for v in verdict.checkpoints:
        if "near its minimum" in v.reason:
            assert v.excess.value <= float(re.search(r"limit ([\d.]+)", v.reason)[1]) + 5e-4


def test_what_is_open_of_an_accuracy_that_is_lower_is_whether_it_is_lower_by_more_than_the_margin(tmp_path):
    losses = [0.004, 0.003, 0.0025, 0.003, 0.004, 0.006, 0.009, 0.012]
    verdict = judged(tmp_path, rows(losses, [0.90, 0.95, 0.96, 0.955, 0.94, 0.92, 0.90, 0.88]))
    assert "accuracy is lower, but" in verdict.headline
    assert "cannot tell whether it is lower by more than the 3.0 points that are allowed" in verdict.headline
    assert "accuracy is kept" not in verdict.headline


def test_a_loss_of_preferences_is_nothing_to_judge_by(tmp_path):
    verdict = judged(tmp_path, [r | {"eval_rewards/margins": 0.3} for r in rows(RISING)])
    assert verdict.headline.startswith("Nothing can be judged by this log")
    said = " ".join([verdict.headline, *verdict.sentences, *verdict.warnings])
    assert "rovisional" not in said
    assert "erplexity is costly" not in said


def test_nothing_is_said_of_the_perplexity_of_a_loss_that_is_not_nll(tmp_path):
    (tmp_path / "train_args.yaml").write_text("use_dft_loss: true\n")
    verdict = judged(tmp_path, rows(RISING))
    said = [verdict.headline, *verdict.sentences, *(v.reason for v in verdict.checkpoints)]
    assert not any("perplexity" in text.lower() for text in said)
    assert any("does not show that the references have become less likely" in text for text in said)
    with_accuracy = judged(tmp_path, rows(RISING, KEPT))
    assert with_accuracy.regime == "over-memorized"
    assert any("train_args.yaml says use_dft_loss" in w for w in with_accuracy.warnings)
