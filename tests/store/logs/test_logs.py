import json

import numpy as np
import pytest

from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.store.logs import read_log

NLL = [0.60, 0.45, 0.40, 0.42, 0.46, 0.50, 0.55, 0.60]
ACCURACY = [0.40, 0.70, 0.80, 0.80, 0.81, 0.80, 0.80, 0.80]


def rows(nll=NLL, accuracy=ACCURACY):
    return [
        {"step": 50 * (i + 1), "epoch": i + 1.0, "eval_loss": loss, "eval_accuracy": a}
        for i, (loss, a) in enumerate(zip(nll, accuracy, strict=True))
    ]


def train_rows():
    return [{"step": 50 * (i + 1), "loss": 0.3, "learning_rate": 1e-4} for i in range(len(NLL))]


def as_trainer_state(folder, entries):
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": entries}))


def as_trainer_log(folder, entries):
    """Lines as LLaMA-Factory 0.9.5 writes them, without an accuracy of answers."""
    names = {"step": "current_steps", "loss": "loss", "eval_loss": "eval_loss", "learning_rate": "lr", "epoch": "epoch"}
    named = [
        {names[k]: v for k, v in e.items() if k in names}
        | {"total_steps": 400, "percentage": 1.0, "elapsed_time": "0:00:03", "remaining_time": "0:01:00"}
        for e in entries
    ]
    (folder / "trainer_log.jsonl").write_text("\n".join(map(json.dumps, named)))


def as_csv(folder, entries):
    entries = [e for e in entries if "eval_loss" in e]
    text = "step,epoch,val_loss,accuracy\n"
    text += "".join(f"{e['step']},{e['epoch']},{e['eval_loss']},{e['eval_accuracy']}\n" for e in entries)
    (folder / "curves.csv").write_text(text)


def as_events(folder, entries):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "runs"))
    for e in entries:
        for key in ("eval_loss", "eval_accuracy"):
            if key in e:
                value = Summary.Value(tag=key.replace("_", "/"), simple_value=e[key])
                writer.add_event(Event(step=e["step"], summary=Summary(value=[value])))
    writer.close()


@pytest.mark.parametrize("write", [as_trainer_state, as_trainer_log, as_csv, as_events])
def test_every_format_gives_the_same_curves(tmp_path, write):
    write(tmp_path, [*rows(), *train_rows()])
    logged = read_log(tmp_path)
    assert [c.step for c in logged.checkpoints] == [50 * (i + 1) for i in range(8)]
    np.testing.assert_allclose(logged.nll, NLL, rtol=1e-6)
    if write is not as_trainer_log:
        np.testing.assert_allclose(logged.accuracy, ACCURACY, rtol=1e-6)
    assert logged.warnings == ()


def test_the_token_accuracy_of_llama_factory_is_not_used_as_answer_accuracy(tmp_path):
    as_trainer_log(tmp_path, rows())
    as_trainer_state(tmp_path, rows())
    logged = read_log(tmp_path)
    assert logged.source.name == "trainer_state.json"
    assert np.isnan(logged.accuracy).all()
    assert logged.metric == ""


def test_an_accuracy_in_llama_factorys_own_log_is_not_used(tmp_path):
    entries = [{"current_steps": e["step"], "eval_loss": e["eval_loss"], "accuracy": 0.9} for e in rows()]
    (tmp_path / "trainer_log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()


def test_a_csv_that_weights_and_biases_exported_is_read(tmp_path):
    head = "Step,sunny-1 - eval/loss,sunny-1 - eval/loss__MIN,sunny-1 - eval/loss__MAX\n"
    (tmp_path / "wandb_export.csv").write_text(head + "".join(f"{50 * i},{x},{x},{x}\n" for i, x in enumerate(NLL)))
    np.testing.assert_allclose(read_log(tmp_path).nll, NLL)


def test_one_of_several_runs_in_a_csv_must_be_named(tmp_path):
    (tmp_path / "wandb_export.csv").write_text("Step,a - eval/loss,b - eval/loss\n50,0.4,0.5\n100,0.3,0.6\n")
    with pytest.raises(BadRequest, match=r"holds the logs of 2 runs: a, b\. Name one: --log-run a"):
        read_log(tmp_path)
    assert read_log(tmp_path, run="b").nll.tolist() == [0.5, 0.6]


def test_event_files_of_the_trainers_own_writer_are_read_with_epochs_and_learning_rates(tmp_path):
    pytest.importorskip("tensorboard")
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from transformers.integrations import TensorBoardCallback

    callback, arguments = TensorBoardCallback(), TrainingArguments(str(tmp_path / "run"), use_cpu=True)
    arguments.logging_dir = str(tmp_path / "run" / "runs" / "now")
    from torch.utils.tensorboard import SummaryWriter

    callback.tb_writer = SummaryWriter(arguments.logging_dir)
    for entry in [*train_rows(), *rows()]:
        state = TrainerState(global_step=entry["step"], is_world_process_zero=True)
        callback.on_log(arguments, state, TrainerControl(), logs={k: v for k, v in entry.items() if k != "step"})
    callback.on_train_end(arguments, state, TrainerControl())
    logged = read_log(tmp_path / "run")
    np.testing.assert_allclose(logged.nll, NLL, rtol=1e-6)
    np.testing.assert_allclose(logged.accuracy, ACCURACY, rtol=1e-6)
    assert logged.checkpoints[1].epoch == 2.0
    assert logged.checkpoints[1].cumulative_lr == pytest.approx(100 * 1e-4)


@pytest.mark.parametrize(("sets", "judged"), [(("gsm8k", "math"), "gsm8k"), (("arc", "my-val", "test"), "my-val")])
def test_one_of_several_evaluation_sets_is_judged_and_named(tmp_path, sets, judged):
    entries = [
        {"step": r["step"], "epoch": r["epoch"], f"eval_{name}_loss": r["eval_loss"] + i, f"eval_{name}_accuracy": 0.5}
        | {f"eval_{name}_mean_token_accuracy": 0.9}
        for r in rows()
        for i, name in enumerate(sets)
    ]
    as_trainer_state(tmp_path, [*entries, *train_rows()])
    logged = read_log(tmp_path)
    np.testing.assert_allclose(logged.nll, np.array(NLL) + sets.index(judged))
    np.testing.assert_allclose(logged.accuracy, 0.5)
    assert logged.evaluation_set == judged
    assert {o.evaluation_set for o in logged.others} == set(sets) - {judged}


def test_cumulative_learning_rate_is_summed_over_steps(tmp_path):
    as_trainer_state(tmp_path, [*train_rows(), *rows()])
    assert read_log(tmp_path).checkpoints[1].cumulative_lr == pytest.approx(100 * 1e-4)


def test_the_state_of_the_last_checkpoint_is_read_if_the_run_has_none(tmp_path):
    for step in (50, 400):
        (tmp_path / f"checkpoint-{step}").mkdir()
    as_trainer_state(tmp_path / "checkpoint-50", rows()[:1])
    as_trainer_state(tmp_path / "checkpoint-400", rows())
    assert len(read_log(tmp_path).checkpoints) == 8


def test_of_two_evaluations_at_one_step_the_last_counts(tmp_path):
    as_trainer_state(tmp_path, [*rows(), {"step": 50, "eval_loss": 0.9}])
    logged = read_log(tmp_path)
    assert (len(logged.nll), logged.nll[0], len(logged.warnings)) == (8, 0.9, 1)


def test_percentages_are_read_as_such_and_reported(tmp_path):
    as_trainer_state(tmp_path, rows(accuracy=[100 * a for a in ACCURACY]))
    logged = read_log(tmp_path)
    np.testing.assert_allclose(logged.accuracy, ACCURACY)
    assert len(logged.warnings) == 1


def test_token_accuracy_is_not_the_accuracy_of_answers(tmp_path):
    entries = [{"step": e["step"], "eval_loss": e["eval_loss"], "eval_mean_token_accuracy": 0.9} for e in rows()]
    as_trainer_state(tmp_path, entries)
    logged = read_log(tmp_path)
    assert np.isnan(logged.accuracy).all()
    assert len(logged.warnings) == 1


def test_a_loss_too_small_for_its_token_accuracy_is_not_nll(tmp_path):
    entries = [{"step": 50, "eval_loss": 0.157, "eval_mean_token_accuracy": 0.4}]
    as_trainer_state(tmp_path, entries)
    assert not read_log(tmp_path).is_nll


@pytest.mark.parametrize(
    ("name", "text", "is_nll"),
    [
        ("train_args.yaml", "use_dft_loss: true\n", False),
        ("recipe.yaml", "loss: mar\n", False),
        ("recipe.yaml", "loss: nll\nloss_knobs: {}\n", True),
        ("train_args.yaml", "use_dft_loss: false\nlabel_smoothing_factor: 0.0\n", True),
        ("train_args.yaml", "label_smoothing_factor: 0.1\n", False),
    ],
)
def test_settings_that_change_the_evaluation_loss_are_recognized(tmp_path, name, text, is_nll):
    as_trainer_state(tmp_path, rows())
    (tmp_path / name).write_text(text)
    logged = read_log(tmp_path)
    assert (logged.is_nll, len(logged.warnings)) == (is_nll, int(not is_nll))


@pytest.mark.parametrize("content", [None, '{"log_history": [{"step": 5, "loss": 1.0}]}'])
def test_a_folder_without_an_evaluation_is_refused_with_what_to_do(tmp_path, content):
    if content:
        (tmp_path / "trainer_state.json").write_text(content)
    with pytest.raises(BadRequest, match=r"no learning curves in .*overmem audit .* --data"):
        read_log(tmp_path)


@pytest.mark.parametrize(("name", "text"), [("trainer_state.json", "{"), ("trainer_log.jsonl", '{"a": 1}\n{')])
def test_a_damaged_log_is_refused_by_name(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadRequest, match=name):
        read_log(tmp_path)


def test_a_log_alone_gives_a_verdict_marked_as_of_reduced_evidence(tmp_path):
    as_trainer_state(tmp_path, rows())
    verdict = diagnose(Diagnose(str(tmp_path), eval_rows=1000, d_nll=0.05))
    assert verdict.evidence == "curves only"
    assert (verdict.regime, verdict.harm_confirmed) == ("over-memorized", False)
    assert verdict.checkpoints[0].regime == "under-trained"
    assert verdict.recommended.checkpoint in ("checkpoint-150", "checkpoint-200", "checkpoint-250")
    assert verdict.onset.step.low <= 212 <= verdict.onset.step.high + 20
    assert (verdict.recommended.accuracy.low, verdict.recommended.measured_on) == (None, "log")


def test_the_curve_that_other_tools_misjudge_is_over_memorized_and_not_stopped_at_its_minimum(tmp_path):
    nll = [0.45, 0.40, 0.37, 0.42, 0.50, 0.58, 0.66, 0.75, 0.85, 0.95, 1.06]
    accuracy = [0.30, 0.36, 0.38, 0.50, 0.60, 0.66, 0.67, 0.68, 0.675, 0.68, 0.68]
    as_trainer_state(tmp_path, rows(nll, accuracy))
    verdict = diagnose(Diagnose(str(tmp_path), eval_rows=500))
    assert "over-memorized" in verdict.regime
    shipped = int(verdict.recommended.checkpoint.removeprefix("checkpoint-"))
    assert accuracy[shipped // 50 - 1] >= 0.66


def test_perplexity_without_accuracy_recommends_nothing(tmp_path):
    entries = [{"step": e["step"], "eval_loss": e["eval_loss"]} for e in rows()]
    as_trainer_state(tmp_path, entries)
    verdict = diagnose(Diagnose(str(tmp_path)))
    assert verdict.regime == "undecided"
    assert verdict.recommended is None
    assert verdict.checkpoints[-1].tests.costly


def test_few_evaluations_of_unknown_size_do_not_decide_accuracy(tmp_path):
    as_trainer_state(tmp_path, rows([0.40, 0.60], [0.80, 0.80]))
    verdict = diagnose(Diagnose(str(tmp_path)))
    assert verdict.regime == "undecided"
    assert any("--eval-rows" in w for w in verdict.warnings)
    assert "over-memorized" in diagnose(Diagnose(str(tmp_path), eval_rows=4000)).regime


def test_a_nan_loss_is_missing_only_at_its_own_step(tmp_path):
    nll = [*NLL[:4], float("nan"), *NLL[5:]]
    as_trainer_state(tmp_path, rows(nll))
    verdict = diagnose(Diagnose(str(tmp_path), eval_rows=1000))
    assert verdict.checkpoints[4].nll.value is None
    assert "over-memorized" in verdict.regime


def test_metrics_with_other_names_are_suggested_and_can_be_named(tmp_path):
    entries = [
        {
            "step": r["step"],
            "eval_loss": 9.0,
            "held_out_nll": r["eval_loss"],
            "eval_gsm8k_pass@1": 100 * r["eval_accuracy"],
        }
        for r in rows()
    ]
    as_trainer_state(tmp_path, entries)
    (warning,) = [w for w in read_log(tmp_path).warnings if "--accuracy-metric" in w]
    assert "eval_gsm8k_pass@1" in warning
    curves = read_log(tmp_path, nll="held_out_nll", accuracy="eval_gsm8k_pass@1")
    assert curves.nll.tolist() == NLL
    assert curves.accuracy.tolist() == pytest.approx(ACCURACY)
    assert not any("--accuracy-metric" in w for w in curves.warnings)
    with pytest.raises(BadRequest, match=r"unknown metric 'pass'.*eval_gsm8k_pass@1"):
        diagnose(Diagnose(str(tmp_path), accuracy_metric="pass"))
