"""The callback's verdict during training: planted measurements in real trainers with real checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

from overmem.audit import Audit, audit
from overmem.callback import OvermemCallback, hooks
from overmem.callback.measure import MeasureResult
from overmem.records import TEMPERATURES, Samples, Scores
from overmem.tasks import Data, load

OVER_MEMORIZED = {
    "nll": (1.0, 0.5, 0.4, 0.55, 0.7, 0.9),
    "accuracy": (0.1, 0.6, 0.8, 0.8, 0.8, 0.8),
    "train": (1.0, 0.45, 0.3, 0.1, 0.05, 0.02),
}
"""At steps 0, 2, ... 10; perplexity has its minimum at step 4, and the training rows are memorized after it."""
HEALTHY = {"nll": (1.0, 0.5, 0.4, 0.4, 0.4, 0.4), "accuracy": (0.1, 0.6, 0.8, 0.8, 0.8, 0.8)}
STILL_LEARNING = {"nll": (1.0, 0.5, 0.4, 0.6, 0.8, 1.0), "accuracy": (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)}


def scores_of(split, nll):
    """Ten tokens per example with a mean nll of `nll`, which differs between examples."""
    count = len(split.encoded)
    uneven = np.repeat(np.linspace(0.8, 1.2, count), 10).astype(np.float32)
    flat = np.zeros(count * 10, dtype=np.float32)
    return Scores(
        tuple(e.example_id for e in split.encoded), np.arange(count + 1) * 10, flat.astype(np.int32), -nll * uneven,
        flat, flat.astype(bool), flat, flat, flat, np.zeros((count, len(TEMPERATURES))), split.truncated,
    )  # fmt: skip


def samples_of(split, accuracy):
    count = len(split.encoded)
    texts = ("",) * count
    zeros = np.zeros(count, dtype=np.float32)
    right = np.arange(count) < round(accuracy * count)
    ids = tuple(e.example_id for e in split.encoded)
    return Samples(ids, zeros.astype(np.int32), zeros, texts, zeros.astype(np.int32), zeros, texts, texts, right)


@pytest.fixture
def trainer_with(base, data_file, tmp_path, monkeypatch):
    """A real training of ten steps, saved every second, whose measurements are planted."""

    def make(curve, train_nll=None, callbacks=(), **more):
        overrides, arguments = {}, {"max_steps": 10}
        for key, value in more.items():
            (arguments if key in ("save_total_limit", "eval_strategy", "eval_steps") else overrides)[key] = value
        nll, accuracy, train = iter(curve["nll"]), iter(curve["accuracy"]), iter(curve.get("train", ()))

        def measure_model(model, config, evaluation, *, token_budget):
            val_nll = next(nll)
            train_value = train_nll or next(train, val_nll)
            scores = {
                name: scores_of(s, val_nll if name == "val" else train_value) for name, s in evaluation.splits.items()
            }
            samples = {"val": samples_of(evaluation.splits["val"], next(accuracy))} if config.answers else {}
            return MeasureResult(scores, samples, token_budget, 0.0, ())

        monkeypatch.setattr(hooks, "measure_model", measure_model)
        tokenizer = AutoTokenizer.from_pretrained(base)
        rows = [dict(tokenizer(f"{n}", return_tensors="np")) for n in range(100, 140)]
        rows = [{"input_ids": r["input_ids"][0].tolist(), "labels": r["input_ids"][0].tolist()} for r in rows]
        trainer = Trainer(
            model=AutoModelForCausalLM.from_pretrained(base),
            args=TrainingArguments(
                str(tmp_path / "run"), save_steps=2, per_device_train_batch_size=4, use_cpu=True, disable_tqdm=True,
                report_to="none", remove_unused_columns=False, learning_rate=1e-2, **arguments,
            ),
            train_dataset=rows,
            eval_dataset=rows[:4],
            data_collator=lambda batch: {k: torch.tensor([row[k] for row in batch]) for k in batch[0]},
            processing_class=tokenizer,
            callbacks=list(callbacks),
        )  # fmt: skip
        lines = []
        parts = load(Data(str(data_file), train=8, val=64, test=8)).splits
        data = {"train": parts["train"], "val": parts["val"]}
        options = {"data": data, "rows": 64, "side_rows": 16, "max_new_tokens": 8, "answers": True, "margin": 0.1}

        def say(line):
            if not line.startswith(("measuring ", "prompts: ")):  # reported once at the start, and tested in test_after
                lines.append(line)

        trainer.add_callback(OvermemCallback(trainer, say=say, **options | overrides))
        return trainer, lines

    return make


def test_it_warns_once_at_the_onset_with_the_step_and_the_checkpoint_to_ship(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED)
    trainer.train()
    assert len(messages) == 1
    assert messages[0].startswith("Over-memorization is first shown at checkpoint-6; it began near step ")
    assert messages[0].endswith("Now at step 6; of all so far, checkpoint-4 is the one to ship.")
    assert trainer.state.global_step == 10


@pytest.mark.parametrize("curve", [HEALTHY, STILL_LEARNING])
def test_it_neither_warns_nor_stops_without_a_reason(trainer_with, curve):
    trainer, messages = trainer_with(curve, stop=True)
    trainer.train()
    assert trainer.state.global_step == 10
    assert not messages or curve is STILL_LEARNING


def test_a_val_split_carved_from_training_rows_is_reported_once(trainer_with, data_file):
    trainer, messages = trainer_with(HEALTHY, data=Data(str(data_file), train=8, val=64, test=8))
    trainer.train()
    assert len(messages) == 1
    assert messages[0].startswith("val: ")
    assert "no separate rows" in messages[0]


def test_it_stops_the_training_with_stop_true(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED, stop=True)
    trainer.train()
    assert trainer.state.global_step == 6
    assert len(messages) == 1


def test_it_can_stop_at_an_evaluation_without_a_save(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED, stop=True, when="evaluate", eval_strategy="steps", eval_steps=1)
    trainer.train()
    assert trainer.state.global_step == 3
    assert "checkpoint-3" in messages[0]


def test_without_answers_it_reports_only_that_perplexity_is_costly(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED, answers=False)
    trainer.train()
    assert len(messages) == 1
    assert messages[0].startswith(
        "At step 6 the perplexity of val is costly: 0.150 nats per token above its minimum (95%"
    )
    assert "Only answers can tell" in messages[0]


def test_too_few_questions_are_reported_at_the_start(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED, margin=0.01, stop=True)
    trainer.train()
    assert messages == [
        "64 val questions can never show that accuracy is kept within 0.01, so no onset will be seen; 94 could: "
        "OvermemCallback(rows=), or a larger margin="
    ]
    assert trainer.state.global_step == 10


def test_another_distribution_is_not_called_memorization(trainer_with):
    trainer, messages = trainer_with(OVER_MEMORIZED, train_nll=3.0, stop=True)
    trainer.train()
    assert messages == []
    assert trainer.state.global_step == 10


class CopyCheckpoints(TrainerCallback):
    """Copies every checkpoint as soon as it is written."""

    def __init__(self, folder):
        self.folder = folder

    def on_save(self, args, state, control, **kwargs):
        name = f"checkpoint-{state.global_step}"
        shutil.copytree(Path(args.output_dir) / name, self.folder / name)


@pytest.mark.parametrize("links", [True, False])
def test_the_checkpoint_to_ship_survives_save_total_limit(trainer_with, tmp_path, monkeypatch, links):
    if not links:

        def refused(self, target):
            raise OSError("no links here")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    trainer, _ = trainer_with(
        OVER_MEMORIZED, keep=True, save_total_limit=1, callbacks=[CopyCheckpoints(tmp_path / "seen")]
    )
    trainer.train()
    run = tmp_path / "run"
    assert sorted(path.name for path in run.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-4"]
    assert not (run / "overmem" / "kept").exists()
    recommended = json.loads((run / "overmem" / "recommended.json").read_text())
    assert (recommended["checkpoint"], recommended["as_of_step"], recommended["accuracy"]["n"]) == (
        "checkpoint-4",
        10,
        64,
    )
    kept, original = (load_file(folder / "checkpoint-4" / "model.safetensors") for folder in (run, tmp_path / "seen"))
    assert all(torch.equal(kept[key], original[key]) for key in original)
    assert (run / "checkpoint-4" / "optimizer.pt").is_file()
    assert audit(Audit(str(run), checkpoints=("checkpoint-4",), splits=("val",))).computed == 0


def test_without_keep_save_total_limit_deletes_it(trainer_with, tmp_path):
    trainer, _ = trainer_with(OVER_MEMORIZED, save_total_limit=1)
    trainer.train()
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-10"]
    assert not (tmp_path / "run" / "overmem" / "recommended.json").exists()


def test_the_verdict_so_far_goes_to_a_tracker_at_every_measurement(trainer_with, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer, messages = trainer_with(OVER_MEMORIZED, track=("tensorboard",))
    trainer.train()
    assert sum(line.startswith("tensorboard: ") for line in messages) == 1
    folder = Path(next(line for line in messages if line.startswith("tensorboard: ")).partition(": ")[2])
    steps, texts = [], []
    for file in sorted(folder.glob("events*")):
        events = accumulator.EventAccumulator(str(file), size_guidance={"tensors": 0}).Reload()
        for event in events.Tensors("overmem/verdict"):
            steps.append(event.step)
            texts.append(event.tensor_proto.string_val[0].decode())
    order = sorted(range(len(steps)), key=lambda i: steps[i])
    assert [steps[i] for i in order] == [2, 4, 6, 8, 10]
    assert "the run is over-memorized" in texts[order[-1]]
    assert "over-memorized" not in texts[order[0]]


def test_a_tracker_that_cannot_be_reached_is_named_once_and_training_goes_on(trainer_with, monkeypatch):
    def broken(verdict):
        raise ConnectionError("no answer")

    monkeypatch.setattr("overmem.tracking.TRACKERS", {"mlflow": broken})
    monkeypatch.setattr("overmem.tracking.find_spec", lambda name: True)
    trainer, messages = trainer_with(HEALTHY, track=("mlflow",))
    trainer.train()
    assert trainer.state.global_step == 10
    assert messages == ["mlflow: nothing was logged: no answer"]
