"""An audit after a training with the callback: which rows it uses, and what it reports about them."""

from dataclasses import replace

import pytest
from trl import SFTTrainer

from overmem import store, with_loss
from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.encoding import PLAIN
from overmem.tasks import load


@pytest.fixture
def messages():
    return []


@pytest.fixture
def mar_run(tmp_path, sft_of, with_callback, messages):
    """TRL's SFTTrainer with another loss and the callback, as in the documentation."""
    trainer = with_callback(
        sft_of(tmp_path / "run", kind=with_loss(SFTTrainer, "mar")), template=PLAIN, say=messages.append
    )
    trainer.train()
    return tmp_path / "run"


def test_an_audit_uses_the_callbacks_rows_unless_rows_is_set(mar_run):
    lines = []
    audit(Audit(str(mar_run), splits=("val",)), say=lines.append)
    assert any("rows as the run's callback used: 6 (--rows changes it)" in line for line in lines)
    lines.clear()
    audit(Audit(str(mar_run), splits=("val",), rows=11), say=lines.append)
    run = store.open_run(mar_run)
    assert store.read_plan(run).splits["val"].n == 11
    assert not any(line.startswith("rows as") for line in lines)
    verdict = diagnose(Diagnose(str(mar_run)))
    assert {v.nll.n for v in verdict.checkpoints} == {11}
    lines.clear()
    audit(Audit(str(mar_run), splits=("val",)), say=lines.append)
    assert any("rows as in the previous audit: 11" in line for line in lines)


def test_the_limits_of_memory_and_time_and_the_prompt_are_shown_when_training_begins(mar_run, messages):
    assert any("6 val examples" in line and "MiB in addition to the model" in line for line in messages)
    assert any(line.startswith("prompts: ") for line in messages)


def test_the_callbacks_measurements_agree_with_the_audit_on_the_same_rows(mar_run):
    (sentence,) = [s for s in diagnose(Diagnose(str(mar_run))).sentences if "read as it was trained" in s]
    assert "rows that the run's callback measured in training" in sentence


def test_a_request_for_more_rows_than_the_run_has_is_reported(data, tmp_path, trainer_of, with_callback):
    splits = load(data).splits
    with_callback(trainer_of(tmp_path), data={"train": splits["train"], "val": list(splits["val"])[:5]}).train()
    lines = []
    audit(Audit(str(tmp_path), rows=50, splits=("val",)), say=lines.append)
    assert any(line.startswith("val: 5 examples, not 50") and "--data" in line for line in lines)


def test_examples_that_are_too_long_are_reported_by_callback_and_audit(
    data, tmp_path, trainer_of, with_callback, messages
):
    splits = load(data).splits
    val = list(splits["val"])[:5]
    long = replace(val[0], id="long", question="What is " + "0" * 200 + " plus 1?")
    with_callback(
        trainer_of(tmp_path), data={"train": splits["train"], "val": [*val, long]}, say=messages.append
    ).train()
    assert "1 of 6 val examples are longer than the model's context and are left out" in messages
    lines = []
    audit(Audit(str(tmp_path), splits=("val",)), say=lines.append)
    assert "val: 1 of 6 examples exceed 128 tokens, left out" in lines
