"""A minute of mutated inputs; `python tests/fuzz/fuzz.py` makes any number. In a process of its own, which forks."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

SCRIPT = Path(__file__).with_name("fuzz.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def fuzz(home):
    def run(*arguments):
        output = home / "bad.json"
        command = [sys.executable, str(SCRIPT), "--home", str(home), "--output", str(output), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=590, check=False)
        assert output.is_file(), done.stderr[-3000:]
        return json.loads(output.read_text())

    return run


@pytest.mark.slow
def test_no_mutated_input_ends_in_a_traceback_a_hang_or_an_impossible_verdict(fuzz):
    assert fuzz("--inputs", os.environ.get("FUZZ_INPUTS", 260), "--first", 0) == []


@pytest.mark.slow
def test_thousands_of_files_that_people_bring_are_read_or_refused(fuzz):
    assert fuzz("--target", "data", "log", "sweep", "other harness's log", "--inputs", 2000, "--first", 10_000) == []


@pytest.mark.slow
def test_what_failed_once_does_not_fail_again(fuzz):
    kept = json.loads(Path(__file__).with_name("kept.json").read_text())
    for target, seeds in kept.items():
        assert fuzz("--target", target, "--seeds", *seeds) == []


def test_a_mutation_is_the_same_for_the_same_seed_and_changes_the_content():
    content = json.dumps({"a": [1, 2, {"b": "c"}]}).encode()
    made = [mutated(content, ".json", random.Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1]
    assert {*made} - {content}
    assert all(target.commands and target.files for target in TARGETS.values())
