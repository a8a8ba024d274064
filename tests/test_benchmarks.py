"""The script for a GPU runs to its end where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GPU = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_every_step_for_a_gpu_runs_small_on_the_cpu():
    done = subprocess.run([sys.executable, str(GPU), "--smoke"], capture_output=True, text=True, check=False)
    steps = {step["step"]: step for step in json.loads(done.stdout)}
    assert {name: step for name, step in steps.items() if "failed" in step} == {}
    assert {"numbers", "train", "audit in bfloat16", "audit in float32", "two workers"} <= set(steps)
    assert steps["numbers"]["result"]["largest difference of a logprob"] == 0.0
    assert steps["audit in bfloat16"]["result"] == steps["two workers"]["result"]
