"""Scoring, caching, choosing tokens and the losses keep their tensors on one device, seen without a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.slow_params import slow_except


@pytest.mark.parametrize("part", slow_except(["score", "losses"], ["mixed", "score", "complete", "share", "losses"]))
def test_on_a_device_that_refuses_the_tensors_of_another(part):
    script = Path(__file__).with_name("on_fake_gpu.py")
    done = subprocess.run([sys.executable, str(script), part], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
