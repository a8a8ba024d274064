"""`with_loss` in existing training scripts: nll trains as without it, and evaluations always report plain nll."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trl
from datasets import Dataset
from scripts import COMMON, SETUPS, logged, nll_of
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM, Trainer, TrainingArguments

from overmem.errors import BadRequest
from overmem.losses.goldfish import goldfish_labels
from overmem.training.trainers import with_loss
from tests.slow_params import slow_except


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("setup", slow_except(["packed across rows"], SETUPS))
def test_in_sfttrainer_nll_equals_the_unmodified_training_and_mar_does_not(sft, setup, adapter):
    knobs = SETUPS[setup]
    unmodified, ours = (sft(kind, adapter, **knobs) for kind in (trl.SFTTrainer, with_loss(trl.SFTTrainer, "nll")))
    np.testing.assert_allclose(logged(ours), logged(unmodified), rtol=1e-5)
    np.testing.assert_allclose(logged(ours, "nll"), logged(unmodified), rtol=1e-5)
    np.testing.assert_allclose(logged(ours, "eval_loss"), logged(unmodified, "eval_loss"), rtol=1e-5)
    np.testing.assert_allclose(logged(ours, "token_accuracy"), logged(unmodified, "mean_token_accuracy"), rtol=1e-5)
    mar = sft(with_loss(trl.SFTTrainer, "mar"), adapter, **knobs)
    assert logged(mar)[0] < logged(unmodified)[0] - 1e-3
    assert logged(mar, "nll")[0] == pytest.approx(logged(unmodified)[0], rel=1e-5)


@pytest.mark.parametrize("setup", slow_except([{}], [{}, SETUPS["accumulated"]]))
def test_in_transformers_trainer_nll_equals_the_unmodified_training_and_mar_does_not(plain, setup):
    unmodified, ours = (plain(kind, **setup) for kind in (Trainer, with_loss(Trainer, "nll")))
    np.testing.assert_allclose(logged(ours), logged(unmodified), rtol=1e-5)
    np.testing.assert_allclose(logged(ours, "eval_loss"), logged(unmodified, "eval_loss"), rtol=1e-5)
    assert logged(plain(with_loss(Trainer, "mar"), **setup))[0] < logged(unmodified)[0] - 1e-3


@pytest.mark.parametrize("loss", slow_except(["mar"], ["nll", "mar", "dft", "goldfish", "asft"]))
def test_accumulating_four_batches_of_one_equals_one_batch_of_four(plain, loss):
    kind = with_loss(Trainer, loss, **({"k": 2, "context": 3} if loss == "goldfish" else {}))
    single = plain(kind)
    four = plain(kind, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    np.testing.assert_allclose(logged(four), logged(single), rtol=1e-4)
    for a, b in zip(single.model.parameters(), four.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@pytest.mark.parametrize("loss", slow_except(["mar"], ["mar", "gem", "label_smoothing"]))
def test_evaluation_is_plain_nll_whatever_the_training_loss_is(plain, rows, loss):
    trainer = plain(with_loss(Trainer, loss), per_device_eval_batch_size=8)
    expected = nll_of(trainer, rows[16:])
    metrics = trainer.evaluate()
    assert metrics["eval_nll"] == pytest.approx(expected, rel=1e-5)
    assert metrics["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert 0 < metrics["eval_label_probability"] < 1
    assert logged(trainer, "eval_nll")[-1] == metrics["eval_nll"]


def test_evaluation_computes_no_logits_unless_metrics_need_them(plain, rows):
    logit_calls = []

    def metrics(prediction):
        hits = prediction.predictions.argmax(-1)[:, :-1] == prediction.label_ids[:, 1:]
        kept = prediction.label_ids[:, 1:] != -100
        return {"accuracy": float(hits[kept].mean())}

    trainer = plain(with_loss(Trainer, "mar"), more={"compute_metrics": metrics})
    np.testing.assert_allclose(logged(trainer, "eval_accuracy"), logged(trainer, "eval_token_accuracy"), rtol=1e-6)
    trainer = plain(with_loss(Trainer, "mar"))
    trainer.model.lm_head.register_forward_hook(lambda *_: logit_calls.append(1))
    assert trainer.evaluate()["eval_nll"] == pytest.approx(nll_of(trainer, rows[16:]), rel=1e-5)
    assert len(logit_calls) == len(rows[16:])  # the calls of nll_of itself


def test_the_best_checkpoint_can_be_chosen_by_plain_nll(plain):
    trainer = plain(
        with_loss(Trainer, "dft"), save_strategy="steps", save_steps=2, metric_for_best_model="nll",
        greater_is_better=False, load_best_model_at_end=True,
    )  # fmt: skip
    assert trainer.state.best_metric == min(logged(trainer, "eval_nll"))


def test_goldfish_is_the_mean_over_the_remaining_labels(plain, rows):
    trainer = plain(
        with_loss(Trainer, "goldfish", k=2, context=3), max_steps=1, per_device_train_batch_size=4,
        gradient_accumulation_steps=4, learning_rate=0.0,
    )  # fmt: skip
    remaining = []
    for row in rows[:16]:
        ids, labels = (torch.tensor([row[name]]) for name in ("input_ids", "labels"))
        kept = goldfish_labels(ids, labels, k=2, context=3)
        assert int((kept != -100).sum()) < int((labels != -100).sum())
        remaining.append({**row, "labels": kept[0].tolist()})
    assert logged(trainer)[0] == pytest.approx(nll_of(trainer, remaining), rel=1e-5)


def test_goldfish_removes_the_same_labels_from_a_packed_document():
    ids = torch.randint(0, 500, (2, 40), generator=torch.Generator().manual_seed(0))
    packed, positions = ids.reshape(1, 80), torch.arange(40).repeat(2)[None]
    separate = goldfish_labels(ids, ids, k=2, context=5)
    assert torch.equal(goldfish_labels(packed, packed, position_ids=positions, k=2, context=5).reshape(2, 40), separate)


def test_neftune_adds_noise_in_training_and_not_in_evaluation(plain, rows):
    trainer = plain(with_loss(Trainer, "mar"), neftune_noise_alpha=5.0, learning_rate=0.0)
    without_noise = plain(with_loss(Trainer, "mar"), learning_rate=0.0)
    assert abs(logged(trainer)[0] - logged(without_noise)[0]) > 1e-4
    assert logged(trainer, "eval_nll") == pytest.approx(logged(without_noise, "eval_nll"), rel=1e-6)


def test_the_balancing_loss_of_experts_is_averaged_over_the_accumulated_batches(plain):
    def model():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = MixtralConfig(
                vocab_size=300, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=1, num_local_experts=4, output_router_logits=True, router_aux_loss_coef=1.0,
            )  # fmt: skip
            return MixtralForCausalLM(config)

    kind, setup = with_loss(Trainer, "nll"), {"max_steps": 1, "learning_rate": 0.0}
    single = plain(kind, model=model(), **setup)
    four = plain(kind, model=model(), per_device_train_batch_size=1, gradient_accumulation_steps=4, **setup)
    balance = logged(single)[0] - logged(single, "nll")[0]
    assert balance > 0.5
    assert logged(four)[0] - logged(four, "nll")[0] == pytest.approx(balance, rel=0.2)
    assert logged(single, "eval_loss") == pytest.approx(
        logged(single, "eval_nll")
    )  # evaluations leave the balancing loss out


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        ({"loss_type": "dft"}, {}, "loss_type='dft'"),
        ({"label_smoothing_factor": 0.1}, {}, "label_smoothing"),
        ({}, {"compute_loss_func": lambda *a, **k: 0}, "compute_loss_func"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_second_loss_is_refused_by_name(sft, arguments, more, message):
    with pytest.raises(BadRequest, match=message):
        sft(with_loss(trl.SFTTrainer, "mar"), more=more, **arguments)


def test_a_wrong_loss_knob_or_class_is_refused_at_once():
    with pytest.raises(BadRequest, match=r"unknown loss 'mahr'.*mar"):
        with_loss(Trainer, "mahr")
    with pytest.raises(BadRequest, match=r"gamma.*stop_gradient"):
        with_loss(Trainer, "mar", gamma=1)
    with pytest.raises(BadRequest, match=r"keep is 2.*in \(0, 1\]"):
        with_loss(Trainer, "rho", keep=2.0)
    with pytest.raises(BadRequest, match=r"subclass of transformers\.Trainer"):
        with_loss(dict, "mar")


def test_batches_without_labels_are_refused_with_the_keys_that_they_have(base, rows, tmp_path):
    trainer = with_loss(Trainer, "mar")(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=TrainingArguments(str(tmp_path), **COMMON),
        train_dataset=[{"input_ids": row["input_ids"][:8]} for row in rows],
        data_collator=lambda batch: {"input_ids": torch.tensor([row["input_ids"] for row in batch])},
    )
    with pytest.raises(BadRequest, match=r"labels.*input_ids"):
        trainer.train()


def test_a_user_defined_function_can_be_the_loss(plain):
    def user_loss(logits, labels, *, power=2.0):
        return (1 - logits.softmax(-1).gather(1, labels[:, None])[:, 0]) ** power

    trainer = plain(with_loss(Trainer, user_loss, power=1.0))
    assert logged(trainer)[0] == pytest.approx(1 - logged(trainer, "label_probability")[0], rel=1e-4)


def test_the_script_in_the_documentation_runs(base, pairs, tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    arguments = {"bf16": False, "max_length": 96}
    namespace = {
        "model": AutoModelForCausalLM.from_pretrained(base),
        "args": trl.SFTConfig(str(tmp_path), **COMMON | arguments),
        "rows": Dataset.from_list(pairs),
    }
    namespace["model"].config._name_or_path = str(base)
    exec(re.search(r"```python\n(.+?)```", text, re.S)[1], namespace)
    assert len(logged(namespace["trainer"], "label_probability")) == 4
