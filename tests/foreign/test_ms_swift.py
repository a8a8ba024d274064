"""A run of ms-swift, in a Python environment of its own: what is scored is what its collator trained."""

import json
import os
import shutil
import subprocess

import pytest

from tests.foreign.conftest import QWEN, Trained, compare_run, conversation

PYTHON = os.environ.get("MS_SWIFT_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="MS_SWIFT_PYTHON names no Python with ms-swift"),
]
ROWS = [{"messages": conversation(a, b, system=a % 2 == 1)} for a in range(5) for b in range(4)]
ARGUMENTS = (
    "--model base --model_type llama --template qwen2_5 --dataset {data} --tuner_type lora --lora_rank 4 "
    "--target_modules q_proj v_proj --torch_dtype float32 --max_steps 4 --save_steps 2 "
    "--per_device_train_batch_size 4 --learning_rate 1e-2 --output_dir out --report_to none --use_cpu true "
    "--max_length 512 --split_dataset_ratio 0 --dataset_num_proc 1 --seed 0 --gradient_checkpointing false"
)
COLLATED = """
import json
from swift.model import get_model_processor
from swift.template import get_template
_, processor = get_model_processor("base", model_type="llama", load_model=False)
template = get_template(processor, template_type="qwen2_5")
template.set_mode("train")
batches = [template.data_collator([template.encode(json.loads(line))]) for line in open("sums.jsonl")]
json.dump([[b[k][0].tolist() for k in ("input_ids", "labels")] for b in batches], open("rows.json", "w"))
"""


def test_scores_and_completions_equal_those_of_transformers(chat_base, chat_tokenizer, tmp_path):
    base, tokenizer = tmp_path / "base", chat_tokenizer(QWEN)
    shutil.copytree(chat_base, base)
    tokenizer.save_pretrained(base)
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1", "USE_HF": "1"}
    for command in (["-m", "swift.cli.sft", *ARGUMENTS.format(data=tmp_path / "sums.jsonl").split()], ["-c", COLLATED]):
        done = subprocess.run([PYTHON, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    rows = [Trained(tuple(ids), tuple(labels)) for ids, labels in json.loads((tmp_path / "rows.json").read_text())]
    (root,) = (tmp_path / "out").glob("v0-*")
    compare_run(root, base, tokenizer, rows, trainer="ms-swift", adapter=True)
