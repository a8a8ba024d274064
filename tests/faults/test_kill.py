"""Some kills of every verb; `python tests/faults/kill.py` makes hundreds. In a process of its own, which forks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill.py")


@pytest.mark.slow
def test_a_killed_command_that_is_run_again_ends_as_one_that_nobody_killed(tmp_path):
    output = tmp_path / "kills.json"
    command = [sys.executable, str(SCRIPT), "--kills", "18", "--output", str(output), "--home", str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(output.read_text())
    assert len(outcomes) == 18
    assert sum(one["was_hit"] for one in outcomes) >= 9
    assert [one["faults"] for one in outcomes if one["faults"]] == []
