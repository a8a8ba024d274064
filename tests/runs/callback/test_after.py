"""An audit after a watched training: whose rows it takes, and what it says of them."""

from dataclasses import replace

import pytest
from trl import SFTTrainer

from overmem import store, with_loss
from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.encoding import PLAIN
from overmem.tasks import load


@pytest.fixture
def said():
    return []


@pytest.fixture
def run_of_mar(tmp_path, sft_of, watched, said):
    """TRL's SFTTrainer with another loss and the callback, as in the documentation."""
    trainer = watched(sft_of(tmp_path / "run", kind=with_loss(SFTTrainer, "mar")), template=PLAIN, say=said.append)
    trainer.train()
    return tmp_path / "run"


def test_the_rows_that_are_asked_for_are_taken_and_those_of_the_callback_are_named(run_of_mar):
    lines = []
    audit(Audit(str(run_of_mar), splits=("val",)), say=lines.append)
    assert any("rows as the run's callback measured: 6 (--rows changes it)" in line for line in lines)
    lines.clear()
    audit(Audit(str(run_of_mar), splits=("val",), rows=11), say=lines.append)
    run = store.open_run(run_of_mar)
    assert store.read_plan(run).splits["val"].n == 11
    assert not any(line.startswith("rows as") for line in lines)
    verdict = diagnose(Diagnose(str(run_of_mar)))
    assert {v.nll.n for v in verdict.checkpoints} == {11}
    lines.clear()
    audit(Audit(str(run_of_mar), splits=("val",)), say=lines.append)
    assert any("rows as in the previous audit: 11" in line for line in lines)


def test_the_limits_of_memory_and_time_and_the_prompt_are_shown_when_training_begins(run_of_mar, said):
    assert any("6 val examples" in line and "MiB in addition to the model" in line for line in said)
    assert any(line.startswith("prompts: ") for line in said)


def test_the_callbacks_own_measurements_are_of_the_same_rows_and_agree(run_of_mar):
    (sentence,) = [s for s in diagnose(Diagnose(str(run_of_mar))).sentences if "read as it was trained" in s]
    assert "rows that the run's callback measured in training" in sentence


def test_more_rows_than_the_run_keeps_are_not_promised(data, tmp_path, trainer_of, watched):
    splits = load(data).splits
    watched(trainer_of(tmp_path), data={"train": splits["train"], "val": list(splits["val"])[:5]}).train()
    lines = []
    audit(Audit(str(tmp_path), rows=50, splits=("val",)), say=lines.append)
    assert any(line.startswith("val: 5 examples, not 50") and "--data" in line for line in lines)


def test_examples_that_are_too_long_are_counted_in_a_line_by_both(data, tmp_path, trainer_of, watched, said):
    splits = load(data).splits
    val = list(splits["val"])[:5]
    long = replace(val[0], id="long", question="What is " + "0" * 200 + " plus 1?")
    watched(trainer_of(tmp_path), data={"train": splits["train"], "val": [*val, long]}, say=said.append).train()
    assert "1 of 6 val examples are longer than the model's context and are left out" in said
    lines = []
    audit(Audit(str(tmp_path), splits=("val",)), say=lines.append)
    assert "val: 1 of 6 examples exceed 128 tokens, left out" in lines
