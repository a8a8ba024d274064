"""A tiny real base model, a data file and a run that the transformers Trainer alone made of them."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from subprocess import CompletedProcess

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from overmem import store
from overmem.audit import Audit, audit
from overmem.cli import main
from tests.conftest import save_tiny_llama

ROWS = [
    {"question": f"What is {a} plus {b}?", "solution": f"{a} + {b} = {a + b}\n#### {a + b}"}
    for a in range(9)
    for b in range(9)
]


@pytest.fixture(scope="session")
def overmem():
    """Runs the command in this process, which has torch loaded already; returns what a finished process would say."""

    def run(*arguments):
        stdout, stderr = io.StringIO(), io.StringIO()
        with redirect_stdout(stdout), redirect_stderr(stderr), pytest.raises(SystemExit) as exit_of:
            main([*map(str, arguments)])
        return CompletedProcess(arguments, exit_of.value.code, stdout.getvalue(), stderr.getvalue())

    return run


@pytest.fixture(scope="session")
def base(tmp_path_factory, byte_tokenizer):
    return save_tiny_llama(tmp_path_factory.mktemp("base"), byte_tokenizer(), max_position_embeddings=128)


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="session")
def foreign_run(base, tmp_path_factory):
    """A run that overmem never touched: transformers' Trainer, full weights, two checkpoints, tokenizer beside them."""
    root = tmp_path_factory.mktemp("foreign")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    rows = [tokenizer(f"Question: {r['question']}\nAnswer: {r['solution']}")["input_ids"] for r in ROWS[:16]]

    def collate(batch):
        width = max(map(len, batch))
        ids = torch.tensor([r + [0] * (width - len(r)) for r in batch])
        return {"input_ids": ids, "labels": ids}

    trainer = Trainer(
        model=LlamaForCausalLM.from_pretrained(base),
        args=TrainingArguments(
            str(root), max_steps=4, save_steps=2, per_device_train_batch_size=8, report_to="none", disable_tqdm=True,
            remove_unused_columns=False, logging_steps=1, learning_rate=1e-2, use_cpu=True,
        ),
        train_dataset=rows,
        data_collator=collate,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    return root


@pytest.fixture(scope="session")
def audited_run(foreign_run, base, data_file, tmp_path_factory):
    """The run of `foreign_run`, audited once for all tests; they change copies of it."""
    run = shutil.copytree(foreign_run, tmp_path_factory.mktemp("audited") / "run")
    config = Audit(str(run), str(data_file), str(base), rows=6, max_new_tokens=8)
    return config, audit(config)


@pytest.fixture
def audited(audited_run, tmp_path):
    """A copy of the audited run: the request of its audit, and what the audit returned."""
    config, done = audited_run
    run = shutil.copytree(config.run, tmp_path / "audited")
    return replace(config, run=str(run)), replace(done, run=store.open_run(run))
