"""Losses that need the base model: it scores the rows once before training, and a resumed training reads the scores."""

import pytest
import torch
import trl
from datasets import Dataset
from scripts import COMMON, SETUPS, logged, padded
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from overmem import store
from overmem.errors import BadRequest
from overmem.losses import LOSSES
from overmem.losses.driver import model_loss
from overmem.training.trainers import with_loss


@pytest.mark.parametrize("setup", ["padded", "packed", "without padding", "accumulated"])
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_the_reference_is_the_base_models_log_probability_of_each_label(sft, base, setup, adapter):
    kind = with_loss(trl.SFTTrainer, "asft")
    batches = []

    class RecordBatches(kind):
        def compute_loss(self, model, inputs, *args, **kwargs):
            if self.model.training:
                batches.append(inputs)
            return super().compute_loss(model, inputs, *args, **kwargs)

    sft(RecordBatches, adapter, **SETUPS[setup])
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    assert batches
    for batch in batches:
        model_inputs = {name: value for name, value in batch.items() if name != "reference_logprob"}
        with torch.no_grad():
            _, result = model_loss(model, model_inputs, LOSSES["nll"])
        kept = batch["labels"][:, 1:] != -100
        torch.testing.assert_close(batch["reference_logprob"][:, 1:][kept], -result.nll, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["rho", "asft"])
def test_a_resumed_training_reads_the_reference_and_equals_an_uninterrupted_one(sft, loss, tmp_path):
    kind, setup = with_loss(trl.SFTTrainer, loss), {"save_strategy": "steps", "save_steps": 2}
    uninterrupted = sft(kind, **setup)
    path = store.open_run(tmp_path / "run").reference_path
    written = path.stat().st_mtime_ns
    again = sft(kind, resume=str(tmp_path / "run" / "checkpoint-2"), **setup)
    assert path.stat().st_mtime_ns == written
    assert logged(again) == pytest.approx(logged(uninterrupted), rel=1e-6)
    for a, b in zip(uninterrupted.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_a_resumed_training_on_other_rows_is_refused(sft, pairs, tmp_path):
    kind, setup = with_loss(trl.SFTTrainer, "rho"), {"save_strategy": "steps", "save_steps": 2}
    sft(kind, **setup)
    with pytest.raises(BadRequest, match="was not scored by the base model"):
        sft(kind, resume=str(tmp_path / "run" / "checkpoint-2"), rows=pairs[4:20], **setup)


def test_every_row_is_scored_even_if_training_drops_the_last_batch(plain):
    trainer = plain(with_loss(Trainer, "rho"), dataloader_drop_last=True, per_device_eval_batch_size=5, max_steps=9)
    assert len(logged(trainer)) == 9


def test_a_stream_is_refused_for_a_loss_that_scores_every_row_first(base, rows, tmp_path):
    trainer = with_loss(Trainer, "rho")(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=TrainingArguments(str(tmp_path), **COMMON),
        train_dataset=Dataset.from_list(rows).to_iterable_dataset(),
        data_collator=padded,
    )
    with pytest.raises(BadRequest, match="not a stream"):
        trainer.train()
