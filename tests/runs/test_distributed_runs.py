"""`overmem train` in two processes, with DDP and FSDP2 on CPU, equals the training in one process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from overmem import store
from overmem.audit import Audit, audit
from overmem.training.recipe import recipe_from
from overmem.training.verb import train

pytestmark = pytest.mark.slow
GUIDE = Path(__file__).parents[2] / "docs" / "distributed.md"
SCRIPT = {"ddp": ["-m", "overmem"], "fsdp2": [str(Path(__file__).with_name("fsdp_on_cpu.py"))]}


def recipe(base, data_file, output, batch_size, **more):
    return {
        "output": str(output),
        "model": str(base),
        "data": {"source": str(data_file), "train": 24, "val": 8, "test": 8},
        "learning_rate": 1e-2,
        "epochs": 2,
        "batch_size": batch_size,
        "observe_rows": 6,
        "trainer": {"logging_steps": 1, "use_cpu": True},
    } | more


def in_two_processes(strategy, content, folder, **settings):
    """Run the command in two processes, with the accelerate settings that docs/distributed.md shows."""
    path, config = folder / "recipe.yaml", folder / "accelerate.yaml"
    path.write_text(yaml.safe_dump(content))
    configs = dict(
        zip(("ddp", "fsdp2", "deepspeed"), re.findall(r"```yaml\n(.+?)```", GUIDE.read_text(), re.S), strict=True)
    )
    config.write_text(configs[strategy])
    launch_options = {
        "config_file": config,
        "num_processes": 2,
        "mixed_precision": "no",
        "main_process_port": 0,
    } | settings
    flags = [f"--{name}={value}" for name, value in launch_options.items()]
    command = [Path(sys.executable).with_name("accelerate"), "launch", *flags, *SCRIPT[strategy], "train", path]
    env = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"ACCELERATE_TORCH_DEVICE": "cpu"} if strategy == "fsdp2" else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=540, env=env)


def numbers(run):
    history = store.read_log_history(run)
    return {name: [row[name] for row in history if name in row] for name in ("loss", "nll", "eval_val_nll")}


FULL = {"loss": "mar"}
LORA = {"loss": "asft", "method": "lora", "method_knobs": {"r": 2}}
PROMPT = {"method": "prompt_tuning"}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("strategy", "options"),
    [("ddp", FULL), ("ddp", LORA), ("ddp", PROMPT), ("fsdp2", FULL), ("fsdp2", LORA)],
    ids=["ddp, full", "ddp, lora", "ddp, prompt tuning", "fsdp2, full", "fsdp2, lora"],
)
def test_two_processes_train_the_same_model_as_one_and_their_checkpoints_can_be_audited(
    base, data_file, tmp_path, strategy, options
):
    single = train(recipe_from(recipe(base, data_file, tmp_path / "one", 8, **options), "test"))
    done = in_two_processes(strategy, recipe(base, data_file, tmp_path / "two", 4, **options), tmp_path)
    assert done.returncode == 0, done.stderr
    distributed = store.open_run(tmp_path / "two")
    for name, expected in numbers(single).items():
        np.testing.assert_allclose(numbers(distributed)[name], expected, rtol=1e-4, err_msg=name)
    assert done.stderr.count("done; next: overmem audit") == 1
    assert done.stderr.count("step 3, epoch 1") == 1
    logprobs = {}
    for run in (single, distributed):
        result = audit(Audit(str(run.root), splits=("test",), max_new_tokens=2, dtype="float32"))
        assert not result.failures
        logprobs[run] = store.read_scores(run, "checkpoint-6", "test").logprob
    np.testing.assert_allclose(logprobs[distributed], logprobs[single], atol=1e-3)
    assert float(np.abs(logprobs[single] - store.read_scores(single, "base", "test").logprob).max()) > 1e-2


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("strategy", "settings"), [("ddp", {}), ("fsdp2", {}), ("fsdp2", {"fsdp_state_dict_type": "FULL_STATE_DICT"})]
)
def test_a_resumed_training_in_two_processes_equals_an_uninterrupted_one(base, data_file, tmp_path, strategy, settings):
    recipe_options = recipe(base, data_file, tmp_path / "run", 4, loss="mar")
    assert in_two_processes(strategy, recipe_options, tmp_path, **settings).returncode == 0
    uninterrupted = load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors")
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    again = in_two_processes(strategy, recipe_options, tmp_path, **settings)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("resuming from") == 1
    for name, value in load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors").items():
        torch.testing.assert_close(value, uninterrupted[name], rtol=0, atol=1e-6)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [("ddp", {"loss": "mahr"}, "unknown loss 'mahr'"), ("fsdp2", PROMPT, "cannot be saved by PEFT under FSDP")],
)
def test_an_impossible_recipe_ends_every_process_with_one_message(
    base, data_file, tmp_path, strategy, options, message
):
    done = in_two_processes(strategy, recipe(base, data_file, tmp_path / "run", 4, **options), tmp_path)
    assert done.returncode != 0
    assert message in done.stderr
