"""A handful of the kills that the script makes; the script itself makes hundreds."""

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("kill_workers", Path(__file__).with_name("kill_workers.py"))
kill_workers = importlib.util.module_from_spec(spec)
sys.modules["kill_workers"] = kill_workers  # its dataclasses look themselves up there
spec.loader.exec_module(kill_workers)


@pytest.mark.slow
def test_killed_workers_leave_the_numbers_of_an_audit_that_nobody_disturbed(tmp_path):
    options = kill_workers.make_run(tmp_path, checkpoints=2)
    seen = kill_workers.storm(options, 4, seed=1, pause=(1.0, 8.0), say=lambda line: None)
    assert (seen.kills, seen.unequal, seen.leases_left) == (4, [], 0)
    assert seen.audits >= 1
