"""Training scripts with TRL's SFTTrainer and with transformers' Trainer; puts `scripts` on the path."""

import json
import sys
from pathlib import Path

import pytest
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

sys.path.insert(0, str(Path(__file__).parent))

from scripts import COMMON, padded


@pytest.fixture(scope="module")
def pairs(data_file):
    rows = [json.loads(line) for line in data_file.read_text().splitlines()][:24]
    return [{"prompt": f"Question: {r['question']}\nAnswer:", "completion": f" {r['solution']}"} for r in rows]


@pytest.fixture
def sft(base, pairs, tmp_path):
    """Runs TRL's SFTTrainer, or a subclass, and returns the finished trainer."""

    def run(kind=trl.SFTTrainer, adapter=None, resume=None, more=None, rows=None, callbacks=None, **setup):
        arguments = {"eval_strategy": "steps", "eval_steps": 2, "bf16": False, "max_length": 96}
        trainer = kind(
            model=AutoModelForCausalLM.from_pretrained(base),
            args=trl.SFTConfig(str(tmp_path / "run"), **COMMON | arguments | setup),
            train_dataset=Dataset.from_list(rows or pairs[:16]),
            eval_dataset=Dataset.from_list(pairs[16:]),
            processing_class=AutoTokenizer.from_pretrained(base),
            peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM") if adapter else None,
            callbacks=callbacks,
            **(more or {}),
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run


@pytest.fixture(scope="module")
def rows(base, pairs):
    """Tokenised rows, only the completion labelled."""
    tokenizer, result = AutoTokenizer.from_pretrained(base), []
    for pair in pairs:
        prompt, solution = (tokenizer(pair[part])["input_ids"] for part in ("prompt", "completion"))
        labels = [-100] * len(prompt) + solution
        result.append({"input_ids": prompt + solution, "attention_mask": [1] * len(labels), "labels": labels})
    return result


@pytest.fixture
def plain(base, rows, tmp_path):
    """Runs transformers' Trainer, or a subclass, and returns the finished trainer."""

    def run(kind=Trainer, model=None, more=None, resume=None, **setup):
        trainer = kind(
            model=model or AutoModelForCausalLM.from_pretrained(base),
            args=TrainingArguments(str(tmp_path / "run"), eval_strategy="steps", eval_steps=2, **COMMON | setup),
            train_dataset=rows[:16],
            eval_dataset=rows[16:],
            data_collator=padded,
            **(more or {}),
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run
