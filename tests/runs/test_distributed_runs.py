"""`overmem train` in two processes, by DDP and FSDP2 on CPU: the training of one process, and checkpoints to audit."""

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
from overmem.training.recipe import parsed
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


def in_two_processes(how, content, folder, **settings):
    """The finished command, two processes of it on this machine, with the settings that docs/distributed.md shows."""
    path, config = folder / "recipe.yaml", folder / "accelerate.yaml"
    path.write_text(yaml.safe_dump(content))
    shown = dict(
        zip(("ddp", "fsdp2", "deepspeed"), re.findall(r"```yaml\n(.+?)```", GUIDE.read_text(), re.S), strict=True)
    )
    config.write_text(shown[how])
    here = {"config_file": config, "num_processes": 2, "mixed_precision": "no", "main_process_port": 0} | settings
    options = [f"--{name}={value}" for name, value in here.items()]
    command = [Path(sys.executable).with_name("accelerate"), "launch", *options, *SCRIPT[how], "train", path]
    where = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"ACCELERATE_TORCH_DEVICE": "cpu"} if how == "fsdp2" else {})
    return subprocess.run(command, capture_output=True, text=True, timeout=540, env=where)


def numbers(run):
    history = store.read_log_history(run)
    return {name: [row[name] for row in history if name in row] for name in ("loss", "nll", "eval_val_nll")}


FULL = {"loss": "mar"}
LORA = {"loss": "asft", "method": "lora", "method_knobs": {"r": 2}}
PROMPT = {"method": "prompt_tuning"}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("how", "asked"),
    [("ddp", FULL), ("ddp", LORA), ("ddp", PROMPT), ("fsdp2", FULL), ("fsdp2", LORA)],
    ids=["ddp, full", "ddp, lora", "ddp, a learnt prompt", "fsdp2, full", "fsdp2, lora"],
)
def test_two_processes_train_what_one_trains_and_leave_checkpoints_to_audit(base, data_file, tmp_path, how, asked):
    alone = train(parsed(recipe(base, data_file, tmp_path / "one", 8, **asked), "test"))
    done = in_two_processes(how, recipe(base, data_file, tmp_path / "two", 4, **asked), tmp_path)
    assert done.returncode == 0, done.stderr
    together = store.open_run(tmp_path / "two")
    for name, expected in numbers(alone).items():
        np.testing.assert_allclose(numbers(together)[name], expected, rtol=1e-4, err_msg=name)
    assert done.stderr.count("done; next: overmem audit") == 1
    assert done.stderr.count("step 3, epoch 1") == 1
    seen = {}
    for run in (alone, together):
        result = audit(Audit(str(run.root), splits=("test",), max_new_tokens=2, dtype="float32"))
        assert not result.failures
        seen[run] = store.read_scores(run, "checkpoint-6", "test").logprob
    np.testing.assert_allclose(seen[together], seen[alone], atol=1e-3)
    assert float(np.abs(seen[alone] - store.read_scores(alone, "base", "test").logprob).max()) > 1e-2


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("how", "settings"), [("ddp", {}), ("fsdp2", {}), ("fsdp2", {"fsdp_state_dict_type": "FULL_STATE_DICT"})]
)
def test_a_resumed_training_in_two_processes_ends_as_if_it_had_not_been_stopped(
    base, data_file, tmp_path, how, settings
):
    recipe_options = recipe(base, data_file, tmp_path / "run", 4, loss="mar")
    assert in_two_processes(how, recipe_options, tmp_path, **settings).returncode == 0
    whole = load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors")
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    again = in_two_processes(how, recipe_options, tmp_path, **settings)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("resuming from") == 1
    for name, value in load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors").items():
        torch.testing.assert_close(value, whole[name], rtol=0, atol=1e-6)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("how", "asked", "said"),
    [("ddp", {"loss": "mahr"}, "unknown loss 'mahr'"), ("fsdp2", PROMPT, "cannot be saved by PEFT under FSDP")],
)
def test_an_impossible_recipe_ends_every_process_with_one_message(base, data_file, tmp_path, how, asked, said):
    done = in_two_processes(how, recipe(base, data_file, tmp_path / "run", 4, **asked), tmp_path)
    assert done.returncode != 0
    assert said in done.stderr
