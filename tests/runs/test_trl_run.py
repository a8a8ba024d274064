"""A run of TRL's own SFTTrainer with an adapter, never touched by overmem, audited and judged by one command."""

import json

import pytest
from datasets import Dataset
from peft import LoraConfig

from overmem import store


@pytest.fixture
def trl_run(base, data_file, tmp_path):
    trl = pytest.importorskip("trl")
    rows = [json.loads(line) for line in data_file.read_text().splitlines()][:16]
    pairs = [{"prompt": f"Question: {r['question']}\nAnswer:", "completion": f" {r['solution']}"} for r in rows]
    trainer = trl.SFTTrainer(
        model=str(base),
        args=trl.SFTConfig(
            str(tmp_path / "run"), max_steps=4, save_steps=2, per_device_train_batch_size=4, report_to="none",
            disable_tqdm=True, logging_steps=1, learning_rate=1e-2, use_cpu=True, bf16=False, max_length=96,
        ),
        train_dataset=Dataset.from_list(pairs),
        peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )  # fmt: skip
    trainer.train()
    return tmp_path / "run"


def test_one_command_audits_and_judges_it_and_finds_the_base_by_itself(overmem, trl_run, base, data_file):
    done = overmem("audit", trl_run, "--data", data_file, "--rows", 6, "--max-new-tokens", 8)
    assert done.returncode == 0, done.stderr
    run = store.open_run(trl_run)
    assert [c.name for c in store.read_checkpoints(run)] == ["base", "checkpoint-2", "checkpoint-4"]
    assert store.read_plan(run).base is None
    verdict = store.read_verdict(run)
    assert [v.nll.n for v in verdict.checkpoints] == [6, 6, 6]
    nll = [v.nll.value for v in verdict.checkpoints]
    assert nll[0] != nll[2]
    assert "checkpoint-4" in done.stdout
