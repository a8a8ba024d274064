"""The files that the callback writes into a run are read by an audit, by a verdict and by a resumed training."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from overmem import store
from overmem.audit import Audit, audit
from overmem.callback import hooks
from overmem.callback.hooks import EvaluationHistory
from overmem.diagnose import Diagnose, diagnose
from overmem.encoding import PLAIN
from overmem.tasks import load
from tests.slow_params import slow_except


@pytest.mark.parametrize("make_trainer", slow_except(["sft_of"], ["trainer_of", "sft_of"]), indirect=True)
def test_a_plain_audit_reuses_all_observations_of_the_callback(
    base, data, tmp_path, make_trainer, with_callback, steps
):
    trainer = with_callback(make_trainer(tmp_path / "run"), template=PLAIN)
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    lines = []
    done = audit(Audit(str(tmp_path / "run")), say=lines.append)
    assert done.already_done == 4 * 3  # base and 3 checkpoints: scores of val and train, answers to val
    assert done.computed == 4 * 3  # answers to train, scores and answers of test
    assert not done.failures
    options = {"data": data_yaml(data, tmp_path), "base": str(base), "template": PLAIN, "rows": 6, "side_rows": 4}
    fresh = audit(Audit(str(tmp_path / "run"), out=str(tmp_path / "out"), max_new_tokens=8, **options))
    assert fresh.already_done == 0
    for ours, theirs in zip(done.measurements, fresh.measurements, strict=True):
        assert (ours.checkpoint, ours.metric, ours.n) == (theirs.checkpoint, theirs.metric, theirs.n)
        assert ours.value == theirs.value or ours.value == pytest.approx(theirs.value, rel=1e-3, abs=1e-5), ours


def data_yaml(data, folder):
    path = folder / "data.yaml"
    path.write_text(json.dumps(store.to_jsonable(data)))
    return str(path)


def test_the_logged_metrics_equal_those_of_the_observations(tmp_path, trainer_of, with_callback, logged):
    trainer = with_callback(trainer_of(tmp_path))
    trainer.train()
    run = store.open_run(tmp_path)
    for row in logged(trainer, ours=True):
        name = f"checkpoint-{row['step']}" if row["step"] else "base"
        for split in ("val", "train"):
            scores = store.read_scores(run, name, split)
            assert row[f"eval_overmem_{split}_nll"] == pytest.approx(scores.nll_sums.sum() / len(scores.token_id))
            assert row[f"eval_overmem_{split}_token_accuracy"] == pytest.approx(scores.is_argmax.mean())
            assert row[f"eval_overmem_{split}_entropy"] == pytest.approx(scores.entropy.mean(), rel=1e-4)
            assert row[f"eval_overmem_{split}_nll_n"] == len(scores.example_ids)
        samples = store.read_samples(run, name, "val")
        assert row["eval_overmem_val_accuracy"] == samples.correct.mean()
        assert row["eval_overmem_val_accuracy_n"] == len(samples.correct) == 6
        assert row["eval_overmem_val_accuracy_low"] <= row["eval_overmem_val_accuracy"]


@pytest.mark.parametrize(
    "more", slow_except([{}], [{}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}])
)
def test_a_resumed_training_measures_nothing_twice(
    tmp_path, monkeypatch, trainer_of, with_callback, logged, steps, more
):
    uninterrupted = with_callback(trainer_of(tmp_path / "whole", **more))
    uninterrupted.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoint-6")
    measure_model, count = hooks.measure_model, []
    monkeypatch.setattr(hooks, "measure_model", lambda *a, **k: count.append(1) or measure_model(*a, **k))
    trainer = trainer_of(tmp_path / "run", **more)
    with_callback(trainer)
    opened = []
    monkeypatch.setattr(
        EvaluationHistory, "close", lambda history: opened.append([s.checkpoint.step for s in history.snapshots])
    )
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert len(count) == 1
    assert opened == [[0, 2, 4, 6]]
    assert steps(trainer) == [0, 2, 4, 6]
    assert logged(trainer, ours=True) == logged(uninterrupted, ours=True)
    expected, actual = (load_file(tmp_path / name / "checkpoint-6" / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(expected[key], actual[key]) for key in expected)


def test_a_measured_base_is_not_measured_again(tmp_path, monkeypatch, trainer_of, with_callback, steps):
    for _ in range(2):
        count = []
        measure_model = hooks.measure_model
        with monkeypatch.context() as patch:
            patch.setattr(hooks, "measure_model", lambda *a, m=measure_model, c=count, **k: c.append(1) or m(*a, **k))
            trainer = with_callback(trainer_of(tmp_path))
            trainer.train()
    assert len(count) == 3
    assert steps(trainer) == [0, 2, 4, 6]


@pytest.mark.slow
def test_a_checkpoint_that_a_killed_run_left_unmeasured_is_measured_on_resuming(
    tmp_path, trainer_of, with_callback, steps
):
    trainer_of(tmp_path, max_steps=2).train()
    trainer = with_callback(trainer_of(tmp_path))
    trainer.train(resume_from_checkpoint=True)
    assert steps(trainer) == [2, 4, 6]
    assert audit(Audit(str(tmp_path))).already_done == 9


def test_examples_that_were_passed_directly_are_read_from_the_run(data, tmp_path, trainer_of, with_callback):
    splits = load(data).splits
    trainer = with_callback(trainer_of(tmp_path), data={"train": splits["train"], "val": list(splits["val"])})
    trainer.train()
    done = audit(Audit(str(tmp_path)))
    assert (done.already_done, done.computed) == (12, 4)  # of train only the answers are new
    run = store.open_run(tmp_path)
    assert store.read_plan(run).data is None
    uninterrupted = store.read_examples(run, "val")
    audit(Audit(str(tmp_path), rows=3, splits=("train",)))
    audit(Audit(str(tmp_path), rows=3))
    assert store.read_examples(run, "val") == uninterrupted  # the run has the only copy


def test_diagnose_needs_no_audit_after_the_callback(tmp_path, trainer_of, with_callback):
    trainer = with_callback(trainer_of(tmp_path))
    trainer.train()
    verdict = diagnose(Diagnose(str(tmp_path)))
    assert verdict.evidence == "observations"
    assert [v.accuracy.n for v in verdict.checkpoints] == [6] * 4


@pytest.mark.slow
def test_nothing_is_written_while_an_audit_holds_the_lock(tmp_path, trainer_of, with_callback, steps):
    lines = []
    trainer = with_callback(trainer_of(tmp_path), answers=False, say=lines.append)
    with store.locked(store.open_run(tmp_path)):
        trainer.train()
    assert any("another overmem process" in line for line in lines)
    assert steps(trainer) == [0, 2, 4, 6]
    assert not (tmp_path / "overmem" / "plan.json").exists()


@pytest.mark.slow
def test_observations_of_an_earlier_training_are_replaced(tmp_path, trainer_of, with_callback):
    for rate in (1e-2, 1e-3):
        trainer = with_callback(trainer_of(tmp_path, learning_rate=rate))
        trainer.train()
        done = audit(Audit(str(tmp_path)))
        assert (done.already_done, done.computed) == ((12, 12) if rate == 1e-2 else (12 + 3, 9))


def test_nothing_is_written_with_record_false(tmp_path, trainer_of, with_callback, steps):
    trainer = with_callback(trainer_of(tmp_path), record=False)
    trainer.train()
    assert steps(trainer) == [0, 2, 4, 6]
    assert not (tmp_path / "overmem").exists()
