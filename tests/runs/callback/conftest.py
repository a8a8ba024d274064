"""Real trainers as scripts have them, with the callback added or not."""

from functools import partial

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from overmem.callback import OvermemCallback
from overmem.encoding import PLAIN, encode
from overmem.tasks import Data, load

LIMITS = {"rows": 6, "side_rows": 4, "max_new_tokens": 8}


@pytest.fixture
def data(data_file):
    return Data(str(data_file), train=24, val=12, test=12)


def collate(batch):
    width = max(len(row["input_ids"]) for row in batch)
    ids = torch.tensor([[*row["input_ids"], *[0] * (width - len(row["input_ids"]))] for row in batch])
    labels = torch.tensor([[*row["labels"], *[-100] * (width - len(row["labels"]))] for row in batch])
    return {"input_ids": ids, "labels": labels}


def _trainer_of(base, data, root, *, kind=Trainer, lora=False, callbacks=(), **more):
    """transformers' own Trainer on a model with dropout: 6 steps of 8 rows, saved and evaluated every 2."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.3)
    if lora:
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=2, lora_dropout=0.3, target_modules=["q_proj"]))
    splits = load(data).splits
    rows = {s: [vars(encode(tokenizer, e)) for e in splits[s]] for s in ("train", "val")}
    rows = {s: [{"input_ids": r["prompt_ids"] + r["solution_ids"]} for r in of_split] for s, of_split in rows.items()}
    rows = {s: [r | {"labels": r["input_ids"]} for r in of_split] for s, of_split in rows.items()}
    options = {
        "max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 8, "logging_steps": 1, "disable_tqdm": True,
        "remove_unused_columns": False, "learning_rate": 1e-2, "use_cpu": True, "report_to": "none",
    }  # fmt: skip
    return kind(
        model=model,
        args=TrainingArguments(str(root), **options | more),
        train_dataset=rows["train"],
        eval_dataset=rows["val"],
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


def _sft_of(base, data, root, *, kind=SFTTrainer, **more):
    """A script as in TRL's documentation: prompt and completion, an adapter with dropout."""
    rows = [
        {"prompt": PLAIN.replace("{question}", e.question), "completion": f" {e.solution}"}
        for e in load(data).splits["train"]
    ]
    options = {
        "max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "logging_steps": 2, "disable_tqdm": True, "learning_rate": 1e-2, "use_cpu": True, "bf16": False,
        "report_to": "none",
    }  # fmt: skip
    return kind(
        model=str(base),
        args=SFTConfig(str(root), **options | more),
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(r=2, lora_dropout=0.3, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )


@pytest.fixture
def trainer_of(base, data):
    return partial(_trainer_of, base, data)


@pytest.fixture
def sft_of(base, data):
    return partial(_sft_of, base, data)


@pytest.fixture
def make_trainer(request):
    """One of the two above, by its name."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def with_callback(data):
    def add(trainer, **more):
        trainer.add_callback(OvermemCallback(trainer, **{"data": data, "answers": True} | LIMITS | more))
        return trainer

    return add


@pytest.fixture
def logged():
    """The callback's rows of the Trainer's log, or the others, without what the clock decides."""

    def rows(trainer, *, ours):
        result = [row for row in trainer.state.log_history if ("eval_overmem_val_nll" in row) == ours]
        timing = ("runtime", "per_second", "seconds", "flos")
        return [{k: v for k, v in row.items() if not k.endswith(timing)} for row in result]

    return rows


@pytest.fixture
def steps(logged):
    return lambda trainer: [row["step"] for row in logged(trainer, ours=True)]
