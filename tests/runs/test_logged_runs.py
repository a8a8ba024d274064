"""Logs of our own trainers, judged without an audit: by the evaluations, never by the training batches."""

import json

import pytest

from overmem.diagnose import Diagnose, diagnose
from overmem.store.logs import read_log
from overmem.training.recipe import recipe_from
from overmem.training.trainers import with_loss
from overmem.training.verb import train


def test_a_run_of_our_own_trainer_is_judged_on_val(base, data_file, tmp_path):
    recipe = {
        "output": str(tmp_path / "run"),
        "model": str(base),
        "data": {"source": str(data_file), "train": 24, "val": 8, "test": 8},
        "learning_rate": 1e-2,
        "epochs": 3,
        "batch_size": 8,
        "loss": "mar",
        "trainer": {"logging_steps": 1, "use_cpu": True},
    }
    run = train(recipe_from(recipe, "test"))
    history = json.loads((run.root / "checkpoint-9" / "trainer_state.json").read_text())["log_history"]
    val = [row["eval_val_nll"] for row in history if "eval_val_nll" in row]
    logged = read_log(run.root)
    assert logged.evaluation_set == "val"
    assert logged.nll.tolist() == val
    assert logged.is_nll
    verdict = diagnose(Diagnose(str(run.root), save=False))
    assert [v.nll.value for v in verdict.checkpoints] == val
    assert verdict.evidence == "curves only"


def test_a_trainer_with_another_loss_is_judged_by_its_evaluations(base, data_file, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    rows = [json.loads(line) for line in data_file.read_text().splitlines()][:16]
    pairs = [{"prompt": f"Question: {r['question']}\nAnswer:", "completion": f" {r['solution']}"} for r in rows]
    trainer = with_loss(trl.SFTTrainer, "mar")(
        model=str(base),
        args=trl.SFTConfig(
            str(tmp_path / "run"), max_steps=6, save_steps=2, eval_strategy="steps", eval_steps=2, report_to="none",
            per_device_train_batch_size=4, disable_tqdm=True, logging_steps=1, learning_rate=1e-2, use_cpu=True,
            bf16=False, max_length=96,
        ),
        train_dataset=Dataset.from_list(pairs[:12]),
        eval_dataset=Dataset.from_list(pairs[12:]),
    )  # fmt: skip
    trainer.train()
    evaluations = [row for row in trainer.state.log_history if "eval_loss" in row]
    batches = [row["nll"] for row in trainer.state.log_history if "nll" in row]
    logged = read_log(tmp_path / "run")
    assert len(batches) == 6
    assert logged.nll.tolist() == [row.get("eval_nll", row["eval_loss"]) for row in evaluations]
    verdict = diagnose(Diagnose(str(tmp_path / "run"), save=False))
    assert [v.checkpoint.step for v in verdict.checkpoints] == [2, 4, 6]
