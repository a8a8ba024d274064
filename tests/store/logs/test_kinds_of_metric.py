"""Which metrics of a log are accuracies, scores or error rates."""

import json
import math

import numpy as np
import pytest

from overmem.errors import BadRequest
from overmem.store.logs import read_log
from tests.store.logs.written import NLL, SHARES, evaluations, write_state


def test_a_fraction_slightly_above_one_is_not_a_percentage(tmp_path):
    write_state(tmp_path, evaluations(shares=[0.9, 0.95, 0.97, 0.98, 0.99, 1.0000001192]))
    logged = read_log(tmp_path)
    assert logged.accuracy[0] == 0.9
    assert logged.accuracy[-1] == 1.0
    assert logged.warnings == ()


def test_values_that_are_neither_fractions_nor_percentages_are_not_used_and_reported(tmp_path):
    write_state(tmp_path, evaluations(shares=[120.0, 300.0, 410.0, 500.0, 510.0, 505.0]))
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()
    assert (logged.metric, logged.accuracy_n, len(logged.warnings)) == ("", None, 1)


def test_an_error_rate_is_recognized_by_name_or_declared(tmp_path):
    rates = [0.6, 0.4, 0.3, 0.29, 0.28, 0.28]
    entries = [
        {"step": e["step"], "eval_loss": e["eval_loss"], "eval_wer": 100 * r}
        for e, r in zip(evaluations(), rates, strict=True)
    ]
    write_state(tmp_path, entries)
    logged = read_log(tmp_path)
    assert logged.accuracy.tolist() == pytest.approx([1 - r for r in rates])
    assert (logged.metric, logged.judged_as) == ("eval_wer", "1 - eval_wer")
    assert logged.accuracy_n is None
    renamed = [{**e, "slips": r} for e, r in zip(entries, rates, strict=True)]
    write_state(tmp_path, renamed)
    declared = read_log(tmp_path, accuracy="slips", lower_is_better=True)
    assert declared.accuracy.tolist() == pytest.approx([1 - r for r in rates])
    write_state(tmp_path, [{**e, "eval_accuracy": 0.5} for e in entries])
    named = read_log(tmp_path, accuracy="eval_wer")  # its name alone says that it falls
    assert named.accuracy.tolist() == pytest.approx([1 - r for r in rates])
    assert (named.judged_as, named.accuracy_n) == ("1 - eval_wer", None)


def test_a_score_is_judged_in_place_of_an_accuracy_under_its_own_name(tmp_path):
    entries = [
        {"step": e["step"], "eval_loss": e["eval_loss"], "eval_rougeL": 31.0 + i} for i, e in enumerate(evaluations())
    ]
    write_state(tmp_path, entries)
    logged = read_log(tmp_path)
    assert (logged.metric, logged.judged_as) == ("eval_rougeL", "eval_rougeL")
    assert logged.accuracy[0] == pytest.approx(0.31)


def test_perplexity_is_used_if_no_loss_was_logged(tmp_path):
    write_state(tmp_path, [{"step": 30 * i, "eval_perplexity": math.exp(x)} for i, x in enumerate(NLL, 1)])
    assert read_log(tmp_path).nll.tolist() == pytest.approx(NLL)


@pytest.mark.parametrize("trainers_log", ["trainer_log.jsonl", "logging.jsonl"])
def test_the_accuracy_of_trainers_that_count_tokens_is_not_judged_unless_it_is_named(tmp_path, trainers_log):
    entries = [{"step": e["step"], "eval_loss": e["eval_loss"], "eval_acc": e["eval_accuracy"]} for e in evaluations()]
    write_state(tmp_path, entries)
    (tmp_path / trainers_log).write_text(
        json.dumps({"global_step/max_steps": "30/180", "current_steps": 30, "loss": 1.0})
    )
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()
    assert any("--accuracy-metric eval_acc" in w for w in logged.warnings)
    assert read_log(tmp_path, accuracy="eval_acc").accuracy.tolist() == SHARES


def test_an_accuracy_that_is_not_a_share_of_the_rows_is_of_tokens(tmp_path):
    nll, shares = [2.1, 2.25, 2.4], [0.5312345678, 0.5187654321, 0.5023456789]
    write_state(tmp_path, evaluations(nll, shares, eval_runtime=100.0, eval_samples_per_second=2.5))
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()
    assert logged.rows == 250


def test_an_accuracy_that_follows_a_high_loss_is_of_tokens_unless_it_is_a_share_of_few_answers(tmp_path):
    nll = np.linspace(2.9, 3.6, 30)
    tokens = np.round(np.exp(-nll) * 0.7, 4)
    write_state(tmp_path, evaluations(nll.round(4).tolist(), tokens.tolist()))
    assert np.isnan(read_log(tmp_path).accuracy).all()
    answers = np.round(np.round(np.exp(-nll) * 61) / 61, 4)
    write_state(tmp_path, evaluations(nll.round(4).tolist(), answers.tolist()))
    logged = read_log(tmp_path)
    assert logged.accuracy_n == 61
    assert np.isfinite(logged.accuracy).all()


def test_a_log_without_an_evaluation_is_refused_with_its_metrics_and_what_to_do(tmp_path):
    write_state(tmp_path, [{"step": 10, "loss": 1.2, "grad_norm": 0.3, "odd\x1b[31mname": 2.0}])
    with pytest.raises(BadRequest) as refused:
        read_log(tmp_path)
    text = str(refused.value)
    assert "odd?[31mname" in text
    assert "grad_norm" not in text  # never the name of an evaluation
    assert "--nll-metric NAME" in text
    assert "overmem audit" in text
    assert "\x1b" not in text


def test_a_trainer_that_never_evaluated_is_reported(tmp_path):
    write_state(tmp_path, [{"step": 10, "loss": 1.2, "learning_rate": 1e-4, "epoch": 0.1, "train_runtime": 3.0}])
    with pytest.raises(BadRequest, match="the trainer ran without evaluations") as refused:
        read_log(tmp_path)
    assert "--nll-metric" not in str(refused.value)
    export = tmp_path / "wandb.csv"
    export.write_text("_step,_runtime,train/loss,train/grad_norm,_timestamp\n0,1,1.5,0.3,170000\n")
    with pytest.raises(BadRequest, match="the trainer ran without evaluations"):
        read_log(export)
    export.unlink()
    write_state(tmp_path, [])
    with pytest.raises(BadRequest, match=r"no evaluation in trainer_state\.json: it holds no entries"):
        read_log(tmp_path)


def test_a_setting_is_not_suggested_as_an_accuracy(tmp_path):
    more = {"gradient_accumulation_steps": 4.0, "eval_math_acc_strict": 0.5}
    write_state(tmp_path, [{"step": s, "eval_loss": 1 / s} | more for s in (1, 2)])
    (question,) = [w for w in read_log(tmp_path).warnings if "--accuracy-metric" in w]
    assert "eval_math_acc_strict" in question
    assert "gradient_accumulation" not in question


def test_f1_is_judged_in_place_of_an_accuracy_of_tags(tmp_path):
    tags = [0.951234567, 0.9641234567, 0.9698765432, 0.971234]
    entries = evaluations(
        [0.10, 0.08, 0.07, 0.065], tags, eval_runtime=2.0, eval_samples_per_second=1625.0, eval_f1=0.5
    )
    for i, entry in enumerate(entries):
        entry["eval_f1"] = 0.80 + 0.03 * i
    write_state(tmp_path, entries)
    logged = read_log(tmp_path)
    assert logged.judged_as == "eval_f1"
    assert logged.accuracy.tolist() == pytest.approx([0.80, 0.83, 0.86, 0.89])

    assert read_log(tmp_path, accuracy="eval_accuracy").accuracy.tolist() == pytest.approx(tags)


def test_the_f1_of_seqeval_and_of_averages_is_recognized_and_names_no_evaluation_set(tmp_path):
    for name in ("eval_overall_f1", "eval_micro_f1", "eval_f1_weighted"):
        rows = [
            {"step": e["step"], "eval_loss": e["eval_loss"], name: 0.5 + 0.01 * e["step"] / 30} for e in evaluations()
        ]
        write_state(tmp_path, [r | {"eval_overall_accuracy": 0.97} for r in rows])
        logged = read_log(tmp_path)
        assert (logged.metric, logged.evaluation_set, logged.others) == (name, "", ())


def test_an_accuracy_far_above_f1_is_of_a_frequent_label(tmp_path):
    entries = evaluations([0.14, 0.12, 0.11, 0.11], [0.955, 0.960, 0.963, 0.964])
    write_state(tmp_path, [e | {"eval_f1": 0.45 + 0.03 * i} for i, e in enumerate(entries)])
    logged = read_log(tmp_path)
    assert logged.judged_as == "eval_f1"
    assert len(logged.warnings) == 1
    assert "--accuracy-metric eval_accuracy" in logged.warnings[0]
    assert "F1 is 54.0% at most" in logged.warnings[0]
    write_state(tmp_path, [e | {"eval_f1": 0.90 + 0.01 * i} for i, e in enumerate(entries)])
    assert read_log(tmp_path).judged_as == ""


def test_an_error_rate_of_another_name_is_asked_about_and_judged_once_it_is_named(tmp_path):
    table = "\n".join(f"| {500 * i} | {0.9 / i:.4f} | {60 / i:.2f} |" for i in range(1, 8))
    (tmp_path / "README.md").write_text(f"| Step | Validation Loss | Global Wer |\n|---|---|---|\n{table}\n")
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()
    (question,) = logged.warnings
    assert "judged by: Global Wer? Then name it: --accuracy-metric" in question
    named = read_log(tmp_path, accuracy="Global Wer")
    assert named.judged_as == "1 - Global Wer"
    assert named.accuracy[0] == pytest.approx(0.4)
    assert not any("evaluated on" in w for w in named.warnings)


def test_a_correlation_may_begin_below_0_and_an_error_rate_is_known_by_its_name(tmp_path):
    entries = [{"step": e["step"], "eval_loss": e["eval_loss"]} for e in evaluations()]
    values = [-0.1, 0.2, 0.35, 0.4, 0.41, 0.4]
    write_state(tmp_path, [e | {"eval_matthews_correlation": v} for e, v in zip(entries, values, strict=True)])
    assert read_log(tmp_path).accuracy.tolist() == values
    write_state(tmp_path, [e | {"eval_error_rate": 0.5 - v} for e, v in zip(entries, values, strict=True)])
    assert read_log(tmp_path).accuracy.tolist() == pytest.approx([0.5 + v for v in values])
