"""A log in the format of each trainer, written here and read back as the same curves."""

import json

import numpy as np
import pytest

from overmem.errors import BadRequest
from overmem.store.logs import read_log

NLL = [0.81, 0.64, 0.59, 0.63, 0.71]
SHARES = [0.40, 0.62, 0.70, 0.71, 0.70]
STEPS = [40, 80, 120, 160, 200]


def _rows():
    return list(zip(STEPS, NLL, SHARES, strict=True))


def _lines(*lines):
    return "\n".join(lines) + "\n"


def wandb_chart():
    head = (
        '"train/global_step","calm-7 - _step","calm-7 - eval/loss","calm-7 - eval/loss__MIN","calm-7 - eval/accuracy"'
    )
    return _lines(head, *(f'"{s}","{i}","{x}","{x}","{a}"' for i, (s, x, a) in enumerate(_rows())))


def wandb_history():
    lines = [",_runtime,_step,_timestamp,train/global_step,train/loss,eval/loss,eval/accuracy"]
    for i, (s, x, a) in enumerate(_rows()):
        lines += [f"{2 * i},1,{2 * i},1.7e9,{s},0.5,,", f"{2 * i + 1},1,{2 * i + 1},1.7e9,{s},,{x},{a}"]
    return _lines(*lines)


def wandb_history_lines():
    rows = [
        {"_step": i, "train/global_step": s, "eval/loss": x, "eval": {"accuracy": a}}
        for i, (s, x, a) in enumerate(_rows())
    ]
    return _lines(*map(json.dumps, rows))


def lightning():
    lines = ["epoch,lr-AdamW,step,train_loss_step,val_acc,val_loss"]
    for i, (s, x, a) in enumerate(_rows()):
        lines += [f"{i},0.001,{s},0.4,,", f"{i},,{s},,{a},{x}"]
    return _lines(*lines)


def model_card():
    head = [
        "# card",
        "",
        "| Training Loss | Epoch | Step | Validation Loss | Accuracy |",
        "|:---:|:---:|:---:|:---:|:---:|",
    ]
    return _lines(
        *head, *(f"| No log | {i}.0 | {s} | {x} | {a} |" for i, (s, x, a) in enumerate(_rows(), 1)), "", "end"
    )


def model_card_csv():
    return _lines(
        "Training Loss,Epoch,Step,Validation Loss,Accuracy",
        *(f"No log,{i}.0,{s},{x},{a}" for i, (s, x, a) in enumerate(_rows(), 1)),
    )


def swift():
    rows = [{"loss": 1.0, "global_step/max_steps": "40/200"}]
    rows += [{"eval_loss": x, "eval_exact_match": a, "global_step/max_steps": f"{s}/200"} for s, x, a in _rows()]
    return _lines(*map(json.dumps, rows))


def torchtune():
    lines = []
    for s, x, a in _rows():
        lines += [
            f"Step {s - 1} | loss:0.9 lr:2e-05 tokens_per_second_per_gpu:812.5",
            f"Step {s} | val_loss:{x} val_accuracy:{a}",
        ]
    return _lines(*lines)


def nano():
    lines = []
    for s, x, _ in _rows():
        lines += [f"iter {s - 10}: loss 0.5012, time 12.1ms, mfu 3.1%", f"step {s}: train loss 0.4321, val loss {x}"]
    return _lines(*lines)


def mlx():
    lines = ["Starting training..., iters: 200"]
    for s, x, _ in _rows():
        lines += [
            f"Iter {s}: Val loss {x}, Val took 3.021s",
            f"Iter {s}: Train loss 0.501, Learning Rate 1.000e-05, It/sec 0.512, Tokens/sec 201.1, Trained Tokens 9000",
        ]
    return _lines(*lines)


def plain_lines():
    return _lines(*(json.dumps({"step": s, "eval_loss": x}) for s, x, _ in _rows()))


def history():
    return json.dumps([{"step": s, "eval_loss": x, "eval_accuracy": a} for s, x, a in _rows()])


LOGS = {
    "wandb_export.csv": (wandb_chart, True),
    "history.csv": (wandb_history, True),
    "wandb-history.jsonl": (wandb_history_lines, True),
    "metrics.csv": (lightning, True),
    "README.md": (model_card, True),
    "table.csv": (model_card_csv, True),
    "logging.jsonl": (swift, True),
    "log_171.txt": (torchtune, True),
    "train.log": (nano, False),
    "mlx.out": (mlx, False),
    "eval_loss.jsonl": (plain_lines, False),
    "log_history.json": (history, True),
}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("as_file", [False, True])
def test_the_log_of_every_trainer_gives_the_same_curves(tmp_path, name, as_file):
    write, has_accuracy = LOGS[name]
    (tmp_path / name).write_text(write())
    logged = read_log(tmp_path / name if as_file else tmp_path)
    assert [c.step for c in logged.checkpoints] == STEPS
    assert logged.nll.tolist() == NLL
    if has_accuracy:
        assert logged.accuracy.tolist() == pytest.approx(SHARES)
    else:
        assert np.isnan(logged.accuracy).all()


def test_keras_counts_epochs_and_its_columns_without_prefix_are_of_the_training_rows(tmp_path):
    lines = [
        "epoch,accuracy,loss,val_accuracy,val_loss",
        *(f"{i},0.99,0.01,{a},{x}" for i, (_, x, a) in enumerate(_rows())),
    ]
    (tmp_path / "training.csv").write_text(_lines(*lines))
    logged = read_log(tmp_path)
    assert (logged.nll.tolist(), logged.accuracy.tolist()) == (NLL, SHARES)
    assert [c.name for c in logged.checkpoints] == [f"epoch-{i}" for i in range(1, 6)]
    assert [c.epoch for c in logged.checkpoints] == [1, 2, 3, 4, 5]


def test_fastai_prefixes_the_validation_loss_and_not_its_metrics(tmp_path):
    lines = [
        "epoch,train_loss,valid_loss,accuracy,time",
        *(f"{i},0.3,{x},{a},00:12" for i, (_, x, a) in enumerate(_rows())),
    ]
    (tmp_path / "history.csv").write_text(_lines(*lines))
    logged = read_log(tmp_path)
    assert (logged.nll.tolist(), logged.accuracy.tolist()) == (NLL, SHARES)


def test_the_dictionaries_that_transformers_prints_are_read_by_epoch(tmp_path):
    lines = []
    for i, (_, x, a) in enumerate(_rows(), 1):
        lines += [
            f"{{'loss': 0.4, 'learning_rate': 1e-05, 'epoch': {i - 0.5}}}",
            f"{{'eval_loss': {x}, 'eval_accuracy': {a}, 'epoch': {i}.0}}",
        ]
    (tmp_path / "slurm-1.out").write_text(_lines(*lines))
    logged = read_log(tmp_path)
    assert (logged.nll.tolist(), logged.accuracy.tolist()) == (NLL, SHARES)


def test_event_files_of_successive_steps_are_joined_and_those_of_several_runs_are_listed(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def write(folder, rows):
        writer = EventFileWriter(str(tmp_path / folder))
        for s, x, _ in rows:
            writer.add_event(Event(step=s, summary=Summary(value=[Summary.Value(tag="eval/val_nll", simple_value=x)])))
        writer.close()

    write("runs/one", _rows()[:3])
    write("runs/two", _rows()[3:])
    logged = read_log(tmp_path)
    np.testing.assert_allclose(logged.nll, NLL, rtol=1e-6)

    write("runs/three", _rows())
    with pytest.raises(BadRequest, match="runs/one, runs/three, runs/two"):
        read_log(tmp_path)
    np.testing.assert_allclose(read_log(tmp_path, run="runs/three").nll, NLL, rtol=1e-6)


def test_a_last_line_that_a_killed_trainer_left_unfinished_is_noted(tmp_path):
    (tmp_path / "eval_loss.jsonl").write_text(plain_lines() + '{"step": 240, "eval_l')
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert len(logged.warnings) == 1


def test_headings_in_another_language_are_recognized_by_their_brackets_and_units_are_left_out(tmp_path):
    (tmp_path / "README.md").write_text(
        "# Modell\n\n| Schicht | Epoch |\n|---|---|\n| attn | 1 |\n\n"
        "| Schritt (Step) | Verlust (Eval Loss) | Wortfehlerrate (Eval WER %) |\n|---|---:|---:|\n"
        "| 500 | 0.42 | 31.5% |\n| 1000 | 0.40 | %29.8 |\n| 1500 | 0.41 | 28.9 |\n"
    )
    logged = read_log(tmp_path)
    assert [c.step for c in logged.checkpoints] == [500, 1000, 1500]
    assert logged.nll.tolist() == [0.42, 0.40, 0.41]
    assert logged.accuracy[[0, 2]].tolist() == pytest.approx([0.685, 0.711])
    assert logged.judged_as == "1 - Eval WER"


def test_without_any_step_the_evaluations_are_counted(tmp_path):
    (tmp_path / "eval.jsonl").write_text(_lines(*(json.dumps({"eval_loss": x}) for x in NLL)))
    assert [c.name for c in read_log(tmp_path).checkpoints] == [f"evaluation-{i}" for i in range(1, 6)]


def test_keras_histories_of_columns_and_csv_under_the_name_training_log_are_read(tmp_path):
    columns = {"loss": [0.1] * 5, "accuracy": [0.99] * 5, "val_loss": NLL, "val_accuracy": SHARES}
    (tmp_path / "history.json").write_text(json.dumps(columns))
    assert read_log(tmp_path).nll.tolist() == NLL
    (tmp_path / "history.json").unlink()
    lines = ["epoch,loss,val_accuracy,val_loss", *(f"{i},0.01,{a},{x}" for i, (_, x, a) in enumerate(_rows()))]
    (tmp_path / "training.log").write_text(_lines(*lines))
    assert read_log(tmp_path).accuracy.tolist() == SHARES


def test_loops_that_print_an_epoch_and_its_metrics_are_read(tmp_path):
    lines = [f"Epoch {i}/5 - train_loss: 0.31 - val_loss: {x} - val_acc: {a}" for i, (_, x, a) in enumerate(_rows(), 1)]
    (tmp_path / "run.log").write_text(_lines(*lines))
    logged = read_log(tmp_path)
    assert (logged.nll.tolist(), logged.accuracy.tolist()) == (NLL, SHARES)


def test_the_loss_of_preference_training_is_not_nll(tmp_path):
    rows = [{"step": s, "eval_loss": x, "eval_rewards/margins": 0.3} for s, x, _ in _rows()]
    (tmp_path / "log_history.json").write_text(json.dumps(rows))
    logged = read_log(tmp_path)
    assert not logged.is_nll
    assert np.isnan(logged.nll).all()
    rows = [r | {"eval_nll_loss": r["eval_loss"] + 0.5} for r in rows]  # as ORPO logs it
    (tmp_path / "log_history.json").write_text(json.dumps(rows))
    assert read_log(tmp_path).nll.tolist() == [x + 0.5 for x in NLL]


def test_decimal_commas_of_a_spreadsheet_are_no_thousands(tmp_path):
    lines = [f"{500 * i};{x};{a}".replace(".", ",") for i, (x, a) in enumerate(zip(NLL, SHARES, strict=True), 1)]
    (tmp_path / "log.csv").write_text("\n".join(["step;eval_loss;eval_accuracy", *lines, "3500;1,125;0,6"]))
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == [*NLL, 1.125]
    assert logged.accuracy.tolist() == [*SHARES, 0.6]


def test_thousands_of_steps_may_have_commas(tmp_path):
    lines = [f"| {500 * i:,} | {x} |" for i, x in enumerate(NLL, 1)]
    (tmp_path / "README.md").write_text("\n".join(["| Step | Validation Loss |", "|---|---|", *lines]))
    assert [c.step for c in read_log(tmp_path).checkpoints] == [500 * i for i in range(1, len(NLL) + 1)]
