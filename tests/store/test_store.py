import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from overmem import store
from overmem.errors import BadRequest, Locked
from overmem.records import TEMPERATURES, Example, Measurement, Samples, Scores
from overmem.store.files import temporary_path


def scores(lengths=(2, 3)):
    n = sum(lengths)
    ids = tuple(f"e{i}" for i in range(len(lengths)))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    logprob = -np.arange(1, n + 1, dtype=np.float32)
    column = {k: logprob for k in ("entropy", "top1_logprob", "mean_logprob", "std_logprob")}
    argmax = np.arange(n) % 2 == 0
    tempered = np.ones((len(lengths), len(TEMPERATURES)))
    return Scores(
        ids, offsets, np.arange(n, dtype=np.int32), logprob, is_argmax=argmax, tempered_nll=tempered, **column
    )


def samples():
    return Samples(
        ("e0", "e0"), np.array([0, 1], np.int32), np.array([0, 0.7], np.float32), ("a", "<b>"),
        np.array([1, 2], np.int32), np.array([-1, -2], np.float32), ("eos", "length"),
        ("4", ""), np.array([True, False]),
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return store.open_run(tmp_path)


@pytest.mark.parametrize("lengths", [(2, 3), (1,), ()])
def test_scores_come_back_as_they_went_in(run, lengths):
    written = scores(lengths)
    store.write_scores(run, "base", "val", written, weights="w", request="r")
    read = store.read_scores(run, "base", "val")
    for name in Scores.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name), err_msg=name)


def test_samples_come_back_as_they_went_in(run):
    store.write_samples(run, "base", "val", samples(), weights="w", request="r")
    read = store.read_samples(run, "base", "val")
    for name in Samples.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(samples(), name), err_msg=name)


def test_grades_are_a_file_next_to_the_samples_and_name_their_grader(run):
    store.write_samples(run, "base", "val", samples(), weights="w", request="r", grader="math 1")
    assert "correct" not in pl.read_parquet(run.unit_path("base", "val", "samples")).columns
    unit = (run, "base", "val", "grades")
    assert store.is_unit_current(*unit, weights="w", request="r", grader="math 1")
    assert not store.is_unit_current(*unit, weights="w", request="r", grader="math 2")
    again = replace(store.read_grades(run, "base", "val"), answer=("5", ""), correct=np.array([False, False]))
    store.write_grades(run, "base", "val", again, weights="w", request="r", grader="math 2")
    read = store.read_samples(run, "base", "val")
    assert read.answer == ("5", "")
    assert not read.correct.any()
    assert read.text == samples().text


def test_completions_without_grades_are_samples_that_are_missing(run):
    store.write_examples(run, "val", [Example("e0", "q", "s", "4")])
    plan = {"schema": 1, "splits": {"val": {"request": "r"}}, "checkpoints": [{"name": "base", "step": 0}]}
    store.write_json(run.plan_path, plan)
    store.write_samples(run, "base", "val", samples(), weights="w", request="r")
    run.unit_path("base", "val", "grades").unlink()
    assert store.read_completions(run, "base", "val").text == samples().text
    (snapshot,) = store.snapshots(run)
    assert snapshot.notes["val", "samples"] == "not graded"
    (undrawn,) = store.read_curves(run, "val").correct
    assert np.isnan(undrawn).all()


def test_grades_of_other_completions_are_refused(run):
    store.write_samples(run, "base", "val", samples(), weights="w", request="r")
    other = replace(samples().grades, draw=np.array([0, 2], np.int32))
    store.write_grades(run, "base", "val", other, weights="w", request="r", grader="")
    with pytest.raises(BadRequest, match="belongs to other completions"):
        store.read_samples(run, "base", "val")


def test_schema_1_samples_are_read_with_the_grades_inside_them(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "run", tmp_path / "run")
    old = store.open_run(tmp_path / "run")
    stored = pl.read_parquet(old.unit_path("base", "val", "samples"))
    read = store.read_samples(old, "base", "val")
    assert read.answer == tuple(stored["answer"])
    assert read.correct.tolist() == stored["correct"].to_list()
    note = {"weights": None, "request": store.read_plan(old).requests["val"]}
    assert store.is_unit_current(old, "base", "val", "samples", **note)
    assert not store.is_unit_current(old, "base", "val", "grades", **note)
    regraded = replace(read.grades, correct=~read.correct)
    store.write_grades(old, "base", "val", regraded, weights="w", request=note["request"], grader="math 2")
    assert store.read_samples(old, "base", "val").correct.tolist() == [not c for c in stored["correct"]]


def test_nll_sums_are_per_example_sums_of_minus_logprob():
    np.testing.assert_allclose(scores().nll_sums, [1 + 2, 3 + 4 + 5])


def test_a_unit_is_valid_only_for_the_same_weights_and_request(run):
    store.write_scores(run, "c", "val", scores(), weights="w", request="r")
    assert store.is_unit_current(run, "c", "val", "scores", weights="w", request="r")
    assert not store.is_unit_current(run, "c", "val", "scores", weights="other", request="r")
    assert not store.is_unit_current(run, "c", "val", "scores", weights="w", request="other")
    assert not store.is_unit_current(run, "c", "test", "scores", weights="w", request="r")


def test_a_damaged_unit_does_not_stand(run):
    store.write_scores(run, "c", "val", scores(), weights="w", request="r")
    path = run.unit_path("c", "val", "scores")
    path.write_bytes(path.read_bytes()[:-20])
    assert not store.is_unit_current(run, "c", "val", "scores", weights="w", request="r")


def test_a_file_of_another_schema_is_refused_with_both_versions(run):
    run.examples_path("val").parent.mkdir(parents=True)
    pl.DataFrame({"id": ["x"]}).write_parquet(
        run.examples_path("val"), metadata={"overmem": json.dumps({"schema": 99})}
    )
    with pytest.raises(BadRequest, match=r"schema 99.*reads 1 and 2"):
        store.read_examples(run, "val")


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(run):
    path = run.home / "a.txt"
    store.write_text(path, "old")

    def cut_off():
        with store.replacing(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cut_off()
    assert path.read_text() == "old"
    assert list(run.home.iterdir()) == [path]


def test_temporary_files_of_a_killed_process_are_removed_when_the_run_is_locked(run):
    code = """if True:
        import os, signal, sys
        from overmem import store
        run = store.open_run(sys.argv[1])
        with store.replacing(run.unit_path("base", "val", "scores")) as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", code, str(run.root)], check=False)
    (left,) = run.home.rglob("*.partial")
    of_another_machine = left.with_name(".val.scores.parquet.00000000-1.abcdef01.partial")
    of_another_machine.write_text("half")
    with store.replacing(run.plan_path) as mine:
        mine.write_text("{}")
        with store.locked(run):
            assert set(run.home.rglob("*.partial")) == {mine, of_another_machine}
    os.utime(of_another_machine, (0, 0))
    with store.locked(run):
        assert not list(run.home.rglob("*.partial"))


def test_whoever_may_read_the_folder_may_read_what_is_written(run):
    store.write_json(run.plan_path, {})
    (run.home / "plain").touch()
    assert run.plan_path.stat().st_mode == (run.home / "plain").stat().st_mode


def test_measurements_keep_missing_values_missing(run):
    rows = [
        Measurement("base", 0, "val", "accuracy", "accuracy", None, note="no examples"),
        Measurement("checkpoint-1", 1, "val", "accuracy", "accuracy", 0.5, 0.1, 0.3, 0.7, 10),
        Measurement("base", 0, "val", "diversity", "pass@k", 0.5, n=10, at={"k": 4, "temperature": 0.7}),
    ]
    store.write_measurements(run, rows)
    assert store.read_measurements(run) == rows


def test_a_second_process_learns_who_holds_the_run(run):
    code = "from overmem import store; import sys\nwith store.locked(store.open_run(sys.argv[1])): pass"
    with store.locked(run):
        other = subprocess.run([sys.executable, "-c", code, str(run.root)], capture_output=True, text=True)
        assert "another overmem process is writing to" in other.stderr
    with store.locked(run):
        pass
    assert issubclass(Locked, Exception)


def test_a_missing_run_says_what_was_given_and_what_is_expected(tmp_path):
    with pytest.raises(BadRequest, match=r"no-such.*checkpoint-<step>"):
        store.open_run(tmp_path / "no-such")


def test_curves_pair_the_same_examples_and_mark_what_is_missing(run):
    examples = [Example(f"e{i}", "q", "s", "4") for i in range(2)]
    store.write_examples(run, "val", examples)
    checkpoints = [
        {"name": "base", "step": 0},
        {"name": "checkpoint-5", "step": 5},
        {"name": "merged-x", "step": 5, "merged_from": ["a"]},
    ]
    store.write_json(run.plan_path, {"schema": 1, "splits": {"val": {"request": "r"}}, "checkpoints": checkpoints})
    for name in ("base", "merged-x"):
        store.write_scores(run, name, "val", scores(), weights="w", request="r")
        store.write_samples(run, name, "val", samples(), weights="w", request="r")
    curves = store.read_curves(run, "val")
    assert [c.name for c in curves.checkpoints] == ["base", "checkpoint-5"]
    np.testing.assert_array_equal(curves.nll_sums, [[3, 12], [np.nan, np.nan]])
    np.testing.assert_array_equal(curves.correct, [[1, np.nan], [np.nan, np.nan]])
    notes = store.read_snapshot(run, curves.checkpoints[1]).notes
    assert notes["val", "scores"] == "not observed"


def test_curves_read_from_columns_equal_those_of_whole_snapshots(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "run", tmp_path / "run")
    old = store.open_run(tmp_path / "run")
    whole = list(store.snapshots(old))
    for split, draws in (("val", False), ("val", True), ("train", False)):
        read = store.read_curves(old, split, merged=True, draws=draws)
        made = store.curves_of(whole, split, draws=draws)
        assert read.checkpoints == made.checkpoints
        for name in ("nll_sums", "token_counts", "correct"):
            np.testing.assert_array_equal(getattr(read, name), getattr(made, name), err_msg=name)
    trained = store.read_curves(old, "val", merged=True).without_merged
    assert [c.name for c in trained.checkpoints] == [c.name for c in store.read_curves(old, "val").checkpoints]
    (base,) = store.read_curves(old, "train", checkpoints=["base"]).checkpoints
    assert base.step == 0


def test_a_damaged_unit_is_missing_from_curves_with_a_note(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "run", tmp_path / "run")
    old = store.open_run(tmp_path / "run")
    path = old.unit_path("checkpoint-50", "val", "scores")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    old.unit_path("checkpoint-100", "val", "samples").unlink()
    curves = store.read_curves(old, "val")
    notes = {("checkpoint-50", "scores"): "damaged file", ("checkpoint-100", "samples"): "not observed"}
    assert curves.notes == notes
    assert np.isnan(curves.nll_sums[1]).all()
    assert np.isfinite(curves.nll_sums[2]).all()
    assert np.isnan(curves.correct[2]).all()


def test_the_texts_of_tokens_come_back_whatever_they_are(run):
    assert store.read_token_texts(run) == {}
    pieces = {7: " the", 3: "\n", 50000: "</script>", 9: ""}
    store.write_token_texts(run, pieces)
    assert store.read_token_texts(run) == pieces


def test_examples_of_one_question_have_one_number_in_the_curves(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "golden" / "run", tmp_path / "run")
    old = store.open_run(tmp_path / "run")
    assert store.read_curves(old, "val").groups is None
    examples = store.read_examples(old, "val")
    same = [replace(e, group="one question") if i < 2 else e for i, e in enumerate(examples)]
    store.write_examples(old, "val", same)
    curves = store.read_curves(old, "val")
    assert len(set(curves.groups.tolist())) == len(curves.token_counts) - 1
    whole = [s for s in store.snapshots(old) if not s.checkpoint.merged_from]
    assert store.curves_of(whole, "val").groups.tolist() == curves.groups.tolist()


def test_what_a_killed_process_left_of_a_file_is_removed_when_the_file_is_written_again(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = temporary_path(tmp_path / "report.html")
    dead = left.with_name(left.name.replace(f"-{os.getpid()}.", f"-{gone.pid}."))
    other = dead.with_name(dead.name.replace("report.html", "other.html"))
    for path in (dead, other, left):
        path.write_text("half")
    store.write_text(tmp_path / "report.html", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([left.name, other.name, "report.html"])
