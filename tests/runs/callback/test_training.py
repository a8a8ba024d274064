"""The callback in real trainers: what it measures and logs, and that it changes nothing."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, Trainer
from trl import SFTConfig, SFTTrainer

from overmem.audit import Audit, audit
from overmem.callback import OvermemCallback
from overmem.errors import BadRequest
from overmem.training.trainers import with_loss
from tests.slow_params import slow_except


@pytest.mark.parametrize(
    ("make_trainer", "more"),
    [
        pytest.param("trainer_of", {"eval_strategy": "steps", "eval_steps": 3}, marks=pytest.mark.slow),
        ("trainer_of", {"gradient_accumulation_steps": 2, "gradient_checkpointing": True, "save_strategy": "epoch"}),
        pytest.param("trainer_of", {"lora": True}, marks=pytest.mark.slow),
        pytest.param("sft_of", {}, marks=pytest.mark.slow),
        pytest.param(
            "trainer_of", {"kind": with_loss(Trainer, "mar"), "gradient_accumulation_steps": 2}, marks=pytest.mark.slow
        ),
        ("sft_of", {"kind": with_loss(SFTTrainer, "asft")}),
    ],
    indirect=["make_trainer"],
)
def test_a_training_with_the_callback_is_bit_for_bit_the_same_as_without(
    tmp_path, make_trainer, with_callback, logged, steps, more
):
    plain = make_trainer(tmp_path / "plain", **more)  # sets every seed
    plain.train()
    after = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    trainer_with_callback = with_callback(make_trainer(tmp_path / "callback", **more))
    trainer_with_callback.train()
    assert torch.equal(torch.random.get_rng_state(), after[0])
    assert np.random.get_state()[1].tolist() == after[1]
    assert logged(trainer_with_callback, ours=False) == logged(plain, ours=False)
    assert len([row for row in logged(plain, ours=False) if "loss" in row]) > 1
    assert len(steps(trainer_with_callback)) > 2
    for expected, actual in zip(plain.model.parameters(), trainer_with_callback.model.parameters(), strict=True):
        assert torch.equal(expected, actual)
    for expected, actual in zip(plain.model.modules(), trainer_with_callback.model.modules(), strict=True):
        assert expected.training == actual.training
    assert trainer_with_callback.model.config.use_cache == plain.model.config.use_cache


def test_dropout_changes_the_losses_so_the_comparison_above_can_fail(tmp_path, trainer_of, logged):
    with_dropout = trainer_of(tmp_path / "with", max_steps=1)
    with_dropout.train()
    without = trainer_of(tmp_path / "without", max_steps=1)
    without.model.model.config.attention_dropout = 0.0
    for layer in without.model.model.layers:
        layer.self_attn.attention_dropout = 0.0
    without.train()
    assert logged(with_dropout, ours=False)[0]["loss"] != logged(without, ours=False)[0]["loss"]


def test_the_nll_is_plain_whatever_the_training_loss(tmp_path, trainer_of, with_callback, logged):
    nll = {}
    for loss in ("nll", "mar", "focal"):
        trainer = with_callback(trainer_of(tmp_path / loss, kind=with_loss(Trainer, loss), max_steps=2), answers=False)
        trainer.train()
        nll[loss] = [row["eval_overmem_val_nll"] for row in logged(trainer, ours=True)]
    assert nll["nll"][0] == nll["mar"][0] == nll["focal"][0]
    assert len({values[1] for values in nll.values()}) == 3


@pytest.mark.parametrize("make_trainer", slow_except(["trainer_of"], ["trainer_of", "sft_of"]), indirect=True)
def test_metrics_reach_the_trainer_state_of_every_checkpoint_and_tensorboard(
    tmp_path, monkeypatch, make_trainer, with_callback, logged
):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    trainer = with_callback(make_trainer(tmp_path, report_to="tensorboard"), answers=False)
    trainer.train()
    for step in (2, 4, 6):
        state = json.loads((tmp_path / f"checkpoint-{step}" / "trainer_state.json").read_text())
        rows = [row for row in state["log_history"] if "eval_overmem_val_nll" in row]
        assert [row["step"] for row in rows] == list(range(0, step + 1, 2))
        assert not any(key.startswith("eval_overmem_val_accuracy") for row in rows for key in row)
    board = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [event.step for event in board.Scalars("eval/overmem_val_nll")] == [0, 2, 4, 6]
    assert [event.step for event in board.Scalars("train/loss")] == [
        row["step"] for row in logged(trainer, ours=False)
    ][:-1]


def test_a_tracker_that_cannot_be_reached_is_refused_with_the_call_to_use(data, tmp_path, trainer_of):
    trainer = trainer_of(tmp_path, report_to="tensorboard", callbacks=[OvermemCallback(data=data)])
    with pytest.raises(BadRequest, match=r"trainer\.add_callback\(OvermemCallback\(trainer"):
        trainer.train()


def test_without_trackers_it_works_from_the_list_of_callbacks(data, tmp_path, trainer_of, steps):
    trainer = trainer_of(tmp_path, callbacks=[OvermemCallback(data=data, rows=6)])
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    state = json.loads((tmp_path / "checkpoint-6" / "trainer_state.json").read_text())
    assert sum("eval_overmem_val_nll" in row for row in state["log_history"]) == 4


@pytest.mark.parametrize(("when", "expected"), [("save", [2, 4, 6]), ("evaluate", [3, 6]), ("both", [2, 3, 4, 6])])
def test_it_measures_at_the_configured_times(tmp_path, trainer_of, with_callback, steps, when, expected):
    trainer = with_callback(trainer_of(tmp_path, eval_strategy="steps", eval_steps=3), when=when, base=False)
    trainer.train()
    assert steps(trainer) == expected
    observed = {path.name for path in (tmp_path / "overmem" / "observations").iterdir()}
    assert observed == {f"checkpoint-{step}" for step in expected if step % 2 == 0}


def test_the_trainer_can_choose_its_best_model_by_the_callbacks_metric(tmp_path, trainer_of, with_callback, logged):
    more = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "greater_is_better": False}
    trainer = with_callback(trainer_of(tmp_path, metric_for_best_model="eval_overmem_val_nll", **more))
    trainer.train()
    best = min((row for row in logged(trainer, ours=True) if row["step"]), key=lambda row: row["eval_overmem_val_nll"])
    assert trainer.state.best_global_step == best["step"]
    after = trainer.evaluate()
    assert after["eval_overmem_val_nll"] == pytest.approx(best["eval_overmem_val_nll"], rel=1e-5)


def test_without_time_there_is_no_number_and_a_message(tmp_path, trainer_of, with_callback):
    lines = []
    trainer = with_callback(trainer_of(tmp_path, eval_strategy="steps", eval_steps=2), seconds=1e-9, say=lines.append)
    trainer.train()
    assert any("val nll: 0 of 6 examples, then the time limit was reached" in line for line in lines)
    assert not any("eval_overmem_val_nll" in row for row in trainer.state.log_history)
    assert math.isnan(trainer.evaluate()["eval_overmem_val_nll"])
    assert audit(Audit(str(tmp_path))).already_done == 0


def test_the_scripts_of_the_documentation_run_unchanged(base, data_file, tmp_path, monkeypatch, steps):
    lines = data_file.read_text().splitlines(keepends=True)
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "train.jsonl").write_text("".join(lines[:24]))
    (tmp_path / "problems" / "val.jsonl").write_text("".join(lines[24:32]))
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in lines[:24]]
    rows = [{"prompt": f"Question: {r['question']}\nAnswer:", "completion": f" {r['solution']}"} for r in rows]
    for name in ("README.md", "docs/training.md"):
        text = (Path(__file__).parents[3] / name).read_text()
        script = next(s for s in re.findall(r"```python\n(.+?)```", text, re.S) if "OvermemCallback" in s)
        settings = {"max_steps": 2, "save_steps": 1, "report_to": "none", "disable_tqdm": True, "use_cpu": True}
        args = SFTConfig(f"run of {Path(name).stem}", bf16=False, **settings)
        model = AutoModelForCausalLM.from_pretrained(base)
        namespace = {"SFTTrainer": SFTTrainer, "model": model, "args": args, "rows": Dataset.from_list(rows)}
        namespace["trainer"] = SFTTrainer(model=model, args=args, train_dataset=namespace["rows"])
        exec(script, namespace)
        if not namespace["trainer"].state.global_step:
            namespace["trainer"].train()
        assert steps(namespace["trainer"]) == [0, 1, 2]
