"""Which rows of a log are evaluations, of which set and at which step."""

import json
import math

import pytest

from overmem.diagnose import Diagnose, diagnose, exit_code
from overmem.errors import BadRequest
from overmem.store.logs import read_log
from tests.store.logs.written import NLL, SHARES, evaluations, several_sets, write_state


def test_rows_of_training_batches_are_not_evaluations_whatever_their_metrics(tmp_path):
    batches = [
        {"step": 10 * i, "loss": 0.5, "nll": 0.01, "accuracy": 0.99, "mean_token_accuracy": 1.0} for i in range(1, 19)
    ]
    write_state(tmp_path, [*batches, *evaluations()])
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert logged.accuracy.tolist() == SHARES


def test_val_of_our_own_trainer_is_judged_and_its_train_rows_are_not(tmp_path):
    entries = [
        row
        for i, nll in enumerate(NLL, 1)
        for row in (
            {"step": 30 * i, "loss": 0.4, "nll": 0.3},
            {"step": 30 * i, "eval_train_nll": 0.1, "eval_val_nll": nll, "eval_val_token_accuracy": 0.9},
        )
    ]
    write_state(tmp_path, entries)
    logged = read_log(tmp_path)
    assert (logged.evaluation_set, logged.nll.tolist(), logged.others) == ("val", NLL, ())


def test_the_accuracy_of_the_callback_has_its_n_and_its_bounds_are_not_metrics(tmp_path):
    by_callback = [
        {
            "step": 30 * i,
            "eval_overmem_val_nll": nll,
            "eval_overmem_val_nll_low": nll - 0.1,
            "eval_overmem_train_nll": 0.2,
            "eval_overmem_val_accuracy": share,
            "eval_overmem_val_accuracy_n": 160.0,
            "eval_overmem_seconds": 3.0,
        }
        for i, (nll, share) in enumerate(zip(NLL, SHARES, strict=True), 1)
    ]
    write_state(tmp_path, [*by_callback, *({"step": 30 * i, "eval_loss": 3.0 + i} for i in range(1, 7))])
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert (logged.accuracy_n, logged.n_source) == (160, "logged")
    assert [o.evaluation_set for o in logged.others] == [""]


def test_the_last_evaluation_after_a_reload_belongs_to_the_best_checkpoint(tmp_path):
    entries = [*evaluations(), {"step": 180, "train_runtime": 5.0, "train_loss": 0.3}]
    final = {**entries[2], "step": 180, "epoch": 6.0}
    write_state(tmp_path, [*entries, final], best_model_checkpoint="out/checkpoint-90")
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert logged.best_checkpoint == "checkpoint-90"
    assert len(logged.warnings) == 1


def test_an_evaluation_after_training_of_the_last_weights_stays_at_the_end(tmp_path):
    entries = [*evaluations(), {**evaluations()[-1]}]
    write_state(tmp_path, entries, best_model_checkpoint="out/checkpoint-90")
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert logged.warnings == ()


def test_a_run_that_is_over_memorized_before_the_reload_fails_the_build(tmp_path):
    nll = [0.50, 0.30, 0.24, 0.30, 0.38, 0.46, 0.55, 0.63]
    shares = [0.600, 0.780, 0.800, 0.802, 0.801, 0.803, 0.802, 0.804]
    entries = evaluations(nll, shares)
    write_state(tmp_path, [*entries, {**entries[2], "step": 240}], best_model_checkpoint="x/checkpoint-90")
    verdict = diagnose(Diagnose(str(tmp_path), eval_rows=2000, save=False))
    assert exit_code(verdict, ("over-memorized",)) == 1


def test_the_newest_of_the_states_is_read_and_a_damaged_one_is_noted(tmp_path):
    write_state(tmp_path, evaluations()[:2], global_step=60)
    write_state(tmp_path / "checkpoint-180", evaluations(), global_step=180)
    assert len(read_log(tmp_path).checkpoints) == 6
    (tmp_path / "trainer_state.json").write_text("version https://example.org/pointer\nsize 3\n")
    logged = read_log(tmp_path)
    assert len(logged.checkpoints) == 6
    assert len(logged.warnings) == 1


@pytest.mark.parametrize("name", ["trainer_state.json", "checkpoint-180/trainer_state.json"])
def test_a_log_file_is_as_good_as_its_folder(tmp_path, name):
    write_state((tmp_path / name).parent, evaluations())
    verdict = diagnose(Diagnose(str(tmp_path / name), save=False))
    assert len(verdict.checkpoints) == 6
    assert verdict.headline == diagnose(Diagnose(str(tmp_path), save=False)).headline


def test_a_loss_that_is_nan_to_the_end_is_a_divergence(tmp_path):
    write_state(tmp_path, evaluations([*NLL[:4], math.nan, math.nan], [*SHARES[:4], 0.0, 0.0]))
    logged = read_log(tmp_path)
    assert logged.diverged == "checkpoint-150"

    last = next(c for c in diagnose(Diagnose(str(tmp_path), save=False)).choices if c.rule == "last")
    assert (last.checkpoint, last.accuracy.value) == ("checkpoint-180", 0.0)


@pytest.mark.parametrize("broken", [1e30, 400.0, math.inf])
def test_an_implausibly_high_loss_is_a_divergence_too(tmp_path, broken):
    write_state(tmp_path, evaluations([*NLL[:5], broken]))
    assert read_log(tmp_path).diverged == "checkpoint-180"
    assert diagnose(Diagnose(str(tmp_path), save=False)).checkpoints[-1].nll.value is None


def test_the_only_run_in_the_subfolders_is_read_and_several_are_listed(tmp_path):
    write_state(tmp_path / "lr-a", evaluations())
    assert "lr-a" in read_log(tmp_path).warnings[0]
    write_state(tmp_path / "lr-b", evaluations())
    with pytest.raises(BadRequest, match="logs of 2 runs: lr-a, lr-b"):
        read_log(tmp_path)


def test_charts_of_one_run_are_joined_by_step_and_those_of_two_runs_never(tmp_path):
    for name, column, values in (("l", "eval/loss", NLL), ("a", "eval/accuracy", SHARES)):
        lines = [f"Step,r1 - {column}", *(f"{30 * i},{v}" for i, v in enumerate(values, 1))]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    logged = read_log(tmp_path)
    assert (logged.nll.tolist(), logged.accuracy.tolist()) == (NLL, SHARES)
    (tmp_path / "other.csv").write_text((tmp_path / "l.csv").read_text().replace("0.9", "0.8"))
    with pytest.raises(BadRequest, match=r"logs of \d runs: a\.csv/r1, l\.csv/r1, other\.csv.*--log-run"):
        read_log(tmp_path)


def test_every_evaluation_set_is_judged_and_one_is_chosen_by_name(tmp_path):
    write_state(tmp_path, several_sets())
    verdict = diagnose(Diagnose(str(tmp_path), save=False))
    assert any("'essays'" in s for s in verdict.sentences)
    assert read_log(tmp_path, eval_set="essays").nll.tolist() == [x + 1 for x in NLL]
    with pytest.raises(BadRequest, match="allowed: 'algebra', 'essays'"):
        read_log(tmp_path, eval_set="law")


@pytest.mark.parametrize(
    "content",
    [
        b'{"log_history": "none"}',
        b'{"log_history": [3, "x", null, [1], {"step": "many", "eval_loss": {}}]}',
        b'{"log_history": [{"step": 1e400, "eval_loss": [1, 2]}]}',
        b'{"log_history": [{"step": ' + b"9" * 5000 + b', "eval_loss": 0.5}]}',
        b"[" * 100_000,
        b"\xff\xfe\x00\xd8",
        b"\x80\x81{",
        b"",
        b"null",
        b'{"log_history": [{"step": true, "eval_loss": "\\ud800"}]}',
    ],
)
def test_a_log_with_any_other_content_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "trainer_state.json").write_bytes(content)
    for path in (tmp_path, tmp_path / "trainer_state.json"):
        with pytest.raises(BadRequest) as refused:
            diagnose(Diagnose(str(path), save=False))
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "latin-1"])
def test_logs_of_other_encodings_are_read(tmp_path, encoding):
    text = json.dumps({"note": "é", "log_history": evaluations()}, ensure_ascii=False)
    (tmp_path / "trainer_state.json").write_bytes(text.encode(encoding))
    assert read_log(tmp_path).nll.tolist() == NLL


def test_only_the_values_of_a_wrong_type_are_left_out(tmp_path):
    odd = [{"step": 30, "eval_loss": "high"}, {"step": [60], "eval_loss": 0.1}, 7, {"step": 90, "eval_loss": True}]
    write_state(tmp_path, [*odd, *evaluations()])
    logged = read_log(tmp_path)
    assert logged.nll.tolist() == NLL
    assert len(logged.warnings) == 1


@pytest.mark.parametrize(
    ("nll", "lowest"), [([0.90, 0.70, 0.60, 0.58, 0.66, 0.75, 0.86], 120), ([1.0 / i for i in range(1, 9)], 240)]
)
def test_a_loss_alone_gives_a_provisional_choice_at_its_minimum(tmp_path, nll, lowest):
    write_state(tmp_path, [{"step": 30 * i, "eval_loss": x} for i, x in enumerate(nll, 1)])
    verdict = diagnose(Diagnose(str(tmp_path), save=False))
    assert verdict.recommended is None
    assert f"checkpoint-{lowest}" in verdict.headline
