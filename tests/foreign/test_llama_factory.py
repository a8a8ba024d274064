"""Runs of LLaMA-Factory, in a Python environment of its own: what is scored is what its collator trained."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.foreign.conftest import QWEN, Trained, compare_run, conversation

PYTHON = os.environ.get("LLAMA_FACTORY_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="LLAMA_FACTORY_PYTHON names no Python with llamafactory"),
]
ROWS = [{"messages": conversation(a, b, system=a % 2 == 1, rounds=2)} for a in range(5) for b in range(4)]
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "system_tag": "system"}  # fmt: skip
SCRIPT = """
import json, sys, yaml
from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.tuner import run_exp
arguments = yaml.safe_load(open(sys.argv[1]))
run_exp(dict(arguments))
model, data, training, _, _ = get_train_args(dict(arguments))
parts = load_tokenizer(model)
template = get_template_and_fix_tokenizer(parts["tokenizer"], data)
rows = get_dataset(template, model, data, training, stage="sft", **parts)["train_dataset"]
collator = SFTDataCollatorWith4DAttentionMask(template=template, model=None, label_pad_token_id=-100, **parts)
batches = [collator([dict(row)]) for row in rows]
lists = [[b[k][0][b["attention_mask"][0].bool()].tolist() for k in ("input_ids", "labels")] for b in batches]
json.dump(lists, open(sys.argv[2], "w"))
"""
ARGUMENTS = {
    "stage": "sft", "do_train": True, "dataset": "sums", "template": "qwen", "cutoff_len": 512, "save_steps": 2,
    "max_steps": 4, "learning_rate": 3e-3, "per_device_train_batch_size": 4, "report_to": "none", "use_cpu": True,
    "bf16": False, "preprocessing_num_workers": 1, "seed": 0,
}  # fmt: skip
METHODS = {
    "lora, every reply": {"finetuning_type": "lora", "lora_rank": 4, "lora_target": "q_proj,v_proj"},
    "full, last reply": {"finetuning_type": "full", "mask_history": True},
}


def trained(folder: Path, base: Path, method: dict) -> list[Trained]:
    """Train in `folder`; returns every training row by LLaMA-Factory's own collator."""
    (folder / "sums.json").write_text(json.dumps(ROWS))
    entry = {"file_name": "sums.json", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS}
    (folder / "dataset_info.json").write_text(json.dumps({"sums": entry}))
    places = {"model_name_or_path": str(base), "dataset_dir": str(folder), "output_dir": str(folder / "run")}
    (folder / "arguments.yaml").write_text(yaml.safe_dump(ARGUMENTS | method | places))
    (folder / "train.py").write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}
    subprocess.run([PYTHON, "train.py", "arguments.yaml", "rows.json"], cwd=folder, env=environment, check=True)
    shutil.copy(folder / "arguments.yaml", folder / "run" / "training_args.yaml")
    return [Trained(tuple(ids), tuple(labels)) for ids, labels in json.loads((folder / "rows.json").read_text())]


@pytest.mark.parametrize("method", METHODS)
def test_scores_and_completions_equal_those_of_transformers(chat_base, chat_tokenizer, tmp_path, method):
    base, tokenizer = tmp_path / "base", chat_tokenizer(QWEN)
    shutil.copytree(chat_base, base)
    tokenizer.save_pretrained(base)
    rows = trained(tmp_path, base, METHODS[method])
    compare_run(tmp_path / "run", base, tokenizer, rows, trainer="LLaMA-Factory", adapter="lora" in method)
