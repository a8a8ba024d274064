"""Reading the arguments that other trainers save in a run's folder."""

import json

import pytest

from overmem.models.trainer_files import trainer_file

AXOLOTL_CARD = """---
library_name: peft
tags:
- axolotl
---
<details><summary>See axolotl config</summary>

axolotl version: `0.12.0`
```yaml
base_model: org/base
load_in_4bit: true
chat_template: qwen_25
datasets:
  - path: rows.jsonl
    type: chat_template
```
</details>
"""
FILES = {
    "LLaMA-Factory": (
        "training_args.yaml",
        "template: qwen3\ndataset: sums\ndataset_dir: {root}/data\nmask_history: true\nquantization_bit: 4\n",
        {"template": "qwen3", "replies": "last", "counts_prompt": False, "is_literal": True, "bits": 4},
    ),
    "ms-swift": (
        "args.json",
        json.dumps({"template": "qwen2_5", "dataset": ["data/rows.jsonl#9"], "loss_scale": "default", "system": "Be."}),
        {"template": "qwen2_5", "replies": "each", "system": "Be.", "is_literal": True},
    ),
    "axolotl": ("README.md", AXOLOTL_CARD, {"template": "qwen_25", "replies": "each", "bits": 4}),
    "torchtune": (
        "torchtune_config.yaml",
        "dataset:\n  _component_: torchtune.datasets.chat_dataset\n  source: json\n  data_files: data/rows.jsonl\n"
        "  train_on_input: true\n",
        {"template": "chat_dataset", "counts_prompt": True},
    ),
    "TRL": ("README.md", "---\ntags:\n- generated_from_trainer\n- trl\n- sft\n---\n# A model\n", {"data": ()}),
    "unsloth": ("README.md", "---\ntags:\n- unsloth\n- trl\n---\n", {"data": ()}),
}  # fmt: skip


@pytest.mark.parametrize("trainer", FILES)
def test_the_arguments_of_each_trainer_are_read(tmp_path, trainer):
    name, text, expected = FILES[trainer]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text("")
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps({"sums": {"file_name": "rows.jsonl"}}))
    (tmp_path / name).write_text(text.replace("{root}", str(tmp_path)))
    arguments = trainer_file(tmp_path)
    assert arguments.trainer == trainer
    assert {field: getattr(arguments, field) for field in expected} == expected
    assert str(arguments).startswith(f"trained by {trainer} ({name})")
    if trainer in ("LLaMA-Factory", "ms-swift", "torchtune"):
        assert arguments.data_file() == tmp_path / "data" / "rows.jsonl"


def test_a_pickle_of_arguments_is_never_opened(tmp_path):
    (tmp_path / "training_args.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    assert trainer_file(tmp_path) is None


@pytest.mark.parametrize("name", ["training_args.yaml", "args.json", "README.md"])
def test_a_damaged_file_of_arguments_is_ignored(tmp_path, name):
    (tmp_path / name).write_text("{[")
    assert trainer_file(tmp_path) is None
