"""The callback in real trainers: what it measures, that it changes nothing, and what an audit finds of it."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from overmem import store
from overmem.audit import Audit, audit
from overmem.callback import OvermemCallback
from overmem.callback.hooks import Diary
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.tasks import Data, load
from overmem.tasks.render import PLAIN, encode
from overmem.trainers import with_loss

LIMITS = {"rows": 6, "side_rows": 4, "max_new_tokens": 8}


@pytest.fixture
def data(data_file):
    return Data(str(data_file), train=24, val=12, test=12)


def collate(batch):
    width = max(len(row["input_ids"]) for row in batch)
    ids = torch.tensor([[*row["input_ids"], *[0] * (width - len(row["input_ids"]))] for row in batch])
    labels = torch.tensor([[*row["labels"], *[-100] * (width - len(row["labels"]))] for row in batch])
    return {"input_ids": ids, "labels": labels}


def trainer_of(base, data, root, *, kind=Trainer, lora=False, callbacks=(), **more):
    """transformers' own Trainer on a model with dropout: 6 steps of 8 rows, saved and evaluated every 2."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.3)
    if lora:
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=2, lora_dropout=0.3, target_modules=["q_proj"]))
    splits = load(data).splits
    rows = {s: [vars(encode(tokenizer, e)) for e in splits[s]] for s in ("train", "val")}
    rows = {s: [{"input_ids": r["prompt_ids"] + r["solution_ids"]} for r in some] for s, some in rows.items()}
    rows = {s: [r | {"labels": r["input_ids"]} for r in some] for s, some in rows.items()}
    asked = {
        "max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 8, "logging_steps": 1, "disable_tqdm": True,
        "remove_unused_columns": False, "learning_rate": 1e-2, "use_cpu": True, "report_to": "none",
    }  # fmt: skip
    return kind(
        model=model,
        args=TrainingArguments(str(root), **asked | more),
        train_dataset=rows["train"],
        eval_dataset=rows["val"],
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def sft_of(base, data, root, *, kind=SFTTrainer, **more):
    """A script as in TRL's documentation: prompt and completion, an adapter with dropout."""
    rows = [
        {"prompt": PLAIN.replace("{question}", e.question), "completion": f" {e.solution}"}
        for e in load(data).splits["train"]
    ]
    asked = {
        "max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "logging_steps": 2, "disable_tqdm": True, "learning_rate": 1e-2, "use_cpu": True, "bf16": False,
        "report_to": "none",
    }  # fmt: skip
    return kind(
        model=str(base),
        args=SFTConfig(str(root), **asked | more),
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(r=2, lora_dropout=0.3, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )


def watched(trainer, data, **more):
    callback = OvermemCallback(trainer, data=data, **LIMITS | {"answers": True} | more)
    trainer.add_callback(callback)
    return callback


def logged(trainer, *, ours):
    rows = [row for row in trainer.state.log_history if ("eval_overmem_val_nll" in row) == ours]
    changing = ("runtime", "per_second", "seconds", "flos")
    return [{k: v for k, v in row.items() if not k.endswith(changing)} for row in rows]


def steps(trainer):
    return [row["step"] for row in logged(trainer, ours=True)]


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (trainer_of, {"eval_strategy": "steps", "eval_steps": 3}),
        (trainer_of, {"gradient_accumulation_steps": 2, "gradient_checkpointing": True, "save_strategy": "epoch"}),
        (trainer_of, {"lora": True}),
        (sft_of, {}),
        (trainer_of, {"kind": with_loss(Trainer, "mar"), "gradient_accumulation_steps": 2}),
        (sft_of, {"kind": with_loss(SFTTrainer, "asft")}),
    ],
)
def test_a_run_with_it_is_bit_for_bit_the_run_without(base, data, tmp_path, make, more):
    plain = make(base, data, tmp_path / "plain", **more)  # sets every seed
    plain.train()
    after = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    seen = make(base, data, tmp_path / "seen", **more)
    watched(seen, data)
    seen.train()
    assert torch.equal(torch.random.get_rng_state(), after[0])
    assert np.random.get_state()[1].tolist() == after[1]
    assert logged(seen, ours=False) == logged(plain, ours=False)
    assert len([row for row in logged(plain, ours=False) if "loss" in row]) > 1
    assert len(steps(seen)) > 2
    for one, other in zip(plain.model.parameters(), seen.model.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(plain.model.modules(), seen.model.modules(), strict=True):
        assert one.training == other.training
    assert seen.model.config.use_cache == plain.model.config.use_cache


def test_dropout_moves_the_losses_so_that_the_comparison_above_means_something(base, data, tmp_path):
    with_dropout = trainer_of(base, data, tmp_path / "with", max_steps=1)
    with_dropout.train()
    without = trainer_of(base, data, tmp_path / "without", max_steps=1)
    without.model.model.config.attention_dropout = 0.0
    for layer in without.model.model.layers:
        layer.self_attn.attention_dropout = 0.0
    without.train()
    assert logged(with_dropout, ours=False)[0]["loss"] != logged(without, ours=False)[0]["loss"]


@pytest.mark.parametrize("make", [trainer_of, sft_of])
def test_an_audit_with_nothing_said_finds_all_of_it_standing(base, data, tmp_path, make):
    trainer = make(base, data, tmp_path / "run")
    watched(trainer, data, template=PLAIN)
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    said = []
    done = audit(Audit(str(tmp_path / "run")), say=said.append)
    assert done.standing == 4 * 3  # base and 3 checkpoints: scores of val and train, answers to val
    assert done.computed == 4 * 3  # answers to train, scores and answers of test
    assert not done.failures
    asked = {"data": data_yaml(data, tmp_path), "base": str(base), "template": PLAIN, **LIMITS}
    fresh = audit(Audit(str(tmp_path / "run"), out=str(tmp_path / "out"), **asked))
    assert fresh.standing == 0
    for ours, theirs in zip(done.measurements, fresh.measurements, strict=True):
        assert (ours.checkpoint, ours.metric, ours.n) == (theirs.checkpoint, theirs.metric, theirs.n)
        assert ours.value == theirs.value or ours.value == pytest.approx(theirs.value, rel=1e-3, abs=1e-5), ours


def data_yaml(data, folder):
    path = folder / "data.yaml"
    path.write_text(json.dumps(store.plain(data)))
    return str(path)


def test_the_nll_is_plain_whatever_is_trained_on(base, data, tmp_path):
    nll = {}
    for loss in ("nll", "mar", "focal"):
        trainer = trainer_of(base, data, tmp_path / loss, kind=with_loss(Trainer, loss), max_steps=2)
        watched(trainer, data, answers=False)
        trainer.train()
        nll[loss] = [row["eval_overmem_val_nll"] for row in logged(trainer, ours=True)]
    assert nll["nll"][0] == nll["mar"][0] == nll["focal"][0]
    assert len({values[1] for values in nll.values()}) == 3


def test_the_numbers_are_those_of_the_observations(base, data, tmp_path):
    trainer = trainer_of(base, data, tmp_path)
    watched(trainer, data)
    trainer.train()
    run = store.open_run(tmp_path)
    for row in logged(trainer, ours=True):
        name = f"checkpoint-{row['step']}" if row["step"] else "base"
        for split in ("val", "train"):
            scores = store.read_scores(run, name, split)
            assert row[f"eval_overmem_{split}_nll"] == pytest.approx(scores.nll_sums.sum() / len(scores.token_id))
            assert row[f"eval_overmem_{split}_token_accuracy"] == pytest.approx(scores.is_argmax.mean())
            assert row[f"eval_overmem_{split}_entropy"] == pytest.approx(scores.entropy.mean(), rel=1e-4)
            assert row[f"eval_overmem_{split}_nll_n"] == len(scores.example_ids)
        samples = store.read_samples(run, name, "val")
        assert row["eval_overmem_val_accuracy"] == samples.correct.mean()
        assert row["eval_overmem_val_accuracy_n"] == len(samples.correct) == 6
        assert row["eval_overmem_val_accuracy_low"] <= row["eval_overmem_val_accuracy"]


@pytest.mark.parametrize("make", [trainer_of, sft_of])
def test_they_reach_the_trainer_state_of_every_checkpoint_and_tensorboard(base, data, tmp_path, make, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    trainer = make(base, data, tmp_path, report_to="tensorboard")
    watched(trainer, data, answers=False)
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


def test_a_tracker_that_it_cannot_reach_is_refused_with_what_to_write(base, data, tmp_path):
    trainer = trainer_of(
        base, data, tmp_path, report_to="tensorboard", callbacks=[OvermemCallback(data=data, **LIMITS)]
    )
    with pytest.raises(BadRequest, match=r"trainer\.add_callback\(OvermemCallback\(trainer"):
        trainer.train()


def test_without_trackers_it_works_from_the_list_of_callbacks(base, data, tmp_path):
    trainer = trainer_of(base, data, tmp_path, callbacks=[OvermemCallback(data=data, **LIMITS)])
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    state = json.loads((tmp_path / "checkpoint-6" / "trainer_state.json").read_text())
    assert sum("eval_overmem_val_nll" in row for row in state["log_history"]) == 4


@pytest.mark.parametrize(("when", "at"), [("save", [2, 4, 6]), ("evaluate", [3, 6]), ("both", [2, 3, 4, 6])])
def test_it_measures_when_it_is_asked_to(base, data, tmp_path, when, at):
    trainer = trainer_of(base, data, tmp_path, eval_strategy="steps", eval_steps=3)
    watched(trainer, data, when=when, base=False)
    trainer.train()
    assert steps(trainer) == at
    there = {path.name for path in (tmp_path / "overmem" / "observations").iterdir()}
    assert there == {f"checkpoint-{step}" for step in at if step % 2 == 0}


def test_the_trainer_chooses_its_best_model_by_it(base, data, tmp_path):
    more = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "greater_is_better": False}
    trainer = trainer_of(base, data, tmp_path, metric_for_best_model="eval_overmem_val_nll", **more)
    watched(trainer, data)
    trainer.train()
    best = min((row for row in logged(trainer, ours=True) if row["step"]), key=lambda row: row["eval_overmem_val_nll"])
    assert trainer.state.best_global_step == best["step"]
    after = trainer.evaluate()
    assert after["eval_overmem_val_nll"] == pytest.approx(best["eval_overmem_val_nll"], rel=1e-5)


def test_a_resumed_run_goes_on_and_measures_nothing_again(base, data, tmp_path, monkeypatch):
    from overmem.callback import hooks

    whole = trainer_of(base, data, tmp_path / "whole")
    watched(whole, data)
    whole.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    measured, count = hooks.measured, []
    monkeypatch.setattr(hooks, "measured", lambda *a, **k: count.append(1) or measured(*a, **k))
    trainer = trainer_of(base, data, tmp_path / "run")
    callback = watched(trainer, data)
    opened = []
    monkeypatch.setattr(Diary, "close", lambda diary: opened.append([s.checkpoint.step for s in diary.observed]))
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert len(count) == 1
    assert opened == [[0, 2, 4, 6]]
    assert callback is not None
    assert steps(trainer) == [0, 2, 4, 6]
    assert logged(trainer, ours=True) == logged(whole, ours=True)
    one, other = (load_file(tmp_path / name / "checkpoint-6" / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_base_that_was_measured_is_not_measured_again(base, data, tmp_path, monkeypatch):
    from overmem.callback import hooks

    for _ in range(2):
        count = []
        measured = hooks.measured
        with monkeypatch.context() as patch:
            patch.setattr(hooks, "measured", lambda *a, m=measured, c=count, **k: c.append(1) or m(*a, **k))
            trainer = trainer_of(base, data, tmp_path)
            watched(trainer, data)
            trainer.train()
    assert len(count) == 3
    assert steps(trainer) == [0, 2, 4, 6]


def test_a_checkpoint_that_a_killed_run_left_unmeasured_is_measured_on_resuming(base, data, tmp_path):
    trainer_of(base, data, tmp_path, max_steps=2).train()
    trainer = trainer_of(base, data, tmp_path)
    watched(trainer, data)
    trainer.train(resume_from_checkpoint=True)
    assert steps(trainer) == [2, 4, 6]
    assert audit(Audit(str(tmp_path))).standing == 9


def test_examples_that_were_given_as_they_are_are_found_in_the_run(base, data, tmp_path):
    splits = load(data).splits
    trainer = trainer_of(base, data, tmp_path)
    watched(trainer, {"train": splits["train"], "val": list(splits["val"])})
    trainer.train()
    done = audit(Audit(str(tmp_path)))
    assert (done.standing, done.computed) == (12, 4)  # of train only the answers are new
    assert store.read_plan(store.open_run(tmp_path))["data"] is None


def test_diagnose_needs_no_audit_after_it(base, data, tmp_path):
    trainer = trainer_of(base, data, tmp_path)
    watched(trainer, data)
    trainer.train()
    verdict = diagnose(Diagnose(str(tmp_path)))
    assert verdict.evidence == "observations"
    assert [v.accuracy.n for v in verdict.checkpoints] == [6] * 4


def test_an_audit_under_way_is_left_alone(base, data, tmp_path):
    said = []
    trainer = trainer_of(base, data, tmp_path)
    trainer.add_callback(OvermemCallback(trainer, data=data, say=said.append, **LIMITS))
    with store.locked(store.open_run(tmp_path)):
        trainer.train()
    assert any("another overmem process" in line for line in said)
    assert steps(trainer) == [0, 2, 4, 6]
    assert not (tmp_path / "overmem" / "plan.json").exists()


def test_weights_of_an_earlier_training_are_forgotten(base, data, tmp_path):
    for rate in (1e-2, 1e-3):
        trainer = trainer_of(base, data, tmp_path, learning_rate=rate)
        watched(trainer, data)
        trainer.train()
        done = audit(Audit(str(tmp_path)))
        assert (done.standing, done.computed) == ((12, 12) if rate == 1e-2 else (12 + 3, 9))


def test_nothing_is_written_where_nothing_is_to_be(base, data, tmp_path):
    trainer = trainer_of(base, data, tmp_path)
    watched(trainer, data, record=False)
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    assert not (tmp_path / "overmem").exists()


def test_no_time_is_no_number_and_a_sentence(base, data, tmp_path):
    said = []
    trainer = trainer_of(base, data, tmp_path, eval_strategy="steps", eval_steps=2)
    trainer.add_callback(OvermemCallback(trainer, data=data, answers=True, seconds=1e-9, say=said.append, **LIMITS))
    trainer.train()
    assert any("val nll: 0 of 6 examples, then the time was over" in line for line in said)
    assert not any("eval_overmem_val_nll" in row for row in trainer.state.log_history)
    assert math.isnan(trainer.evaluate()["eval_overmem_val_nll"])
    assert audit(Audit(str(tmp_path))).standing == 0
