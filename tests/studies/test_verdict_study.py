"""The rule's error rates on simulated runs; the full table, with 1,000 runs a cell, is docs/results/verdict.md."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from overmem import statistics
from overmem.verdict import regimes, severity
from studies import verdict
from studies.judged import Cell, tally
from studies.rates import rise
from studies.stopping import finetune_doctor, generalization_loss, progress_quotient, successive_rises, training_losses
from studies.trajectories import World, shapes, simulated, truth


@pytest.mark.parametrize("discordance", [0.05, 0.10, 0.20])
def test_the_simulator_has_the_accuracy_nll_and_discordance_that_it_claims(discordance):
    world = World("flat", n=20_000, discordance=discordance)
    (curves,) = simulated(world, "claims", discordance)
    true = truth(world)
    np.testing.assert_allclose(curves.correct.mean(1), true.accuracy, atol=0.012)
    np.testing.assert_allclose(curves.nll_sums.sum(1) / curves.token_counts.sum(), true.nll, atol=0.01)
    assert (curves.correct[0] != curves.correct[5]).mean() == pytest.approx(discordance, abs=0.01)


def test_simulated_runs_are_seeded_and_splits_are_independent():
    one, same = (simulated(World(n=50), "s", splits=2) for _ in range(2))
    np.testing.assert_array_equal(one[1].correct, same[1].correct)
    assert (one[0].correct != one[1].correct).any()


def test_the_true_onset_is_where_the_curve_passes_both_limits():
    assert truth(World()).onset == pytest.approx(544, abs=2)
    assert truth(World("healthy")).onset is None
    assert truth(World("over-fitted")).onset is None


@pytest.mark.parametrize("cell", verdict.null_cells()[:9], ids=lambda c: f"{c.world.shape} {c.world.noise}")
def test_false_alarms_are_rare(cell):
    counts = tally(cell, 60)
    assert counts.last.get("over-memorized", 0) <= 3
    assert counts.any_false <= 6


POWER = [pytest.param(*setting, marks=pytest.mark.slow if setting[0] > 500 else ()) for setting in verdict.SETTINGS]


@pytest.mark.parametrize(("n", "margin"), POWER)
def test_power_is_high_if_there_are_enough_examples(n, margin):
    counts = tally(Cell(World(n=n), margin, asks=("regime", "onset", "references")), 60)
    assert counts.last.get("over-memorized", 0) >= 51
    assert counts.covered >= 0.88 * counts.intervals
    ours, best = counts.kept["every stretch of the run (ours)"], counts.kept["the best of all, on the same examples"]
    assert ours > best


def test_too_few_examples_are_reported_as_too_few():
    def undecided(n, seed):
        verdicts = regimes(simulated(World(n=n, discordance=0.2), "few", seed)[0])
        return [v for v in verdicts if v.regime == "undecided"]

    few = undecided(100, 3)
    needed = [v.tests.examples_for_accuracy for v in few if v.tests.examples_for_accuracy]
    assert needed
    counts = [len(undecided(max(needed), seed)) for seed in range(10)]
    assert sum(counts) < 0.5 * 10 * len(few)  # with as many as were asked for, most are decided


@pytest.mark.slow
@pytest.mark.parametrize("cell", verdict.null_cells(), ids=lambda c: f"{c.world.shape} {c.world.n}")
def test_false_alarms_are_at_most_one_in_twenty(cell):
    counts = tally(cell, 1000)
    assert counts.last.get("over-memorized", 0) <= 50


@pytest.mark.slow
@pytest.mark.parametrize("cell", verdict.power_cells(), ids=lambda c: f"{c.world.shape} {c.world.n}")
def test_power_is_at_least_nine_in_ten(cell):
    assert tally(cell, 1000).last.get("over-memorized", 0) >= 900


def test_accuracy_that_has_levelled_off_is_no_longer_learning():
    world = World(
        "over-memorized, minimum before the accuracy"
    )  # 4 points gained in the last half, 1 in the last third
    counts = tally(Cell(world), 60)
    assert counts.last.get("over-memorized", 0) >= 51


@pytest.fixture
def cheap_tables(monkeypatch):
    """The tables of the page say only how many runs they would take."""
    monkeypatch.setattr(verdict, "promise_table", lambda runs, folder: f"lines at {runs} runs")
    monkeypatch.setattr(verdict, "alarm_table", lambda runs, folder: f"worlds at {runs} runs")
    monkeypatch.setattr(verdict, "limits_table", lambda: "bounds")
    monkeypatch.setattr(verdict, "onset_worlds", lambda runs, folder: f"onsets at {runs} runs")
    monkeypatch.setattr(verdict, "advice_table", lambda runs, folder, python: f"picks at {runs} runs")
    monkeypatch.setattr(verdict, "forecast_table", lambda runs, folder: f"forecasts at {runs} runs")
    monkeypatch.setattr(verdict, "sample", lambda runs, purpose: runs)
    monkeypatch.setattr(verdict, "reliability", lambda found: f"reliability of {found} worlds")


def test_the_whole_page_is_written(tmp_path, monkeypatch, cheap_tables):
    monkeypatch.setattr(verdict, "null_cells", lambda: [Cell(World("flat", 50))])
    monkeypatch.setattr(verdict, "limit_cells", lambda: [Cell(World("over-fitted", 50), asks=("references",))])
    monkeypatch.setattr(verdict, "power_cells", lambda: [Cell(World(n=50), asks=("references",))])
    grid = [Cell(World(n=n, discordance=d)) for n in verdict.EXAMPLES[:1] for d in verdict.DISCORDANCE]
    monkeypatch.setattr(verdict, "EXAMPLES", verdict.EXAMPLES[:1])
    monkeypatch.setattr(verdict, "grid_cells", lambda margin=0.03: grid)
    monkeypatch.setattr(verdict, "onset_cells", lambda: [Cell(World(n=50), asks=("onset",))])
    monkeypatch.setattr(verdict, "pick_cells", lambda: [Cell(World(n=50), asks=("picks",))])
    monkeypatch.setattr("studies.foresight.record", lambda runs: "the record")
    page = tmp_path / "verdict.md"
    verdict.main(["--runs", "5", "--out", str(page)])
    text = page.read_text()
    for made in ("lines at 5 runs", "worlds at 5 runs", "forecasts at 5 runs", "reliability of 5 worlds"):
        assert text.count(made) == 1
    assert text.count("| --- |") >= 7
    assert "the record" in text
    assert "finetune-doctor was not run" in text


def test_a_section_is_remade_and_all_others_stay(tmp_path, cheap_tables):
    page = tmp_path / "verdict.md"
    verdict.main(["--only", "lines", "onset", "--out", str(page)])
    page.write_text(f"{page.read_text()}{verdict.BEFORE}\nold table\n")
    verdict.main(["--only", "lines", "--runs", "7", "--out", str(page)])
    text = page.read_text()
    assert text.count("lines at 7 runs") == text.count("onsets at 60 runs") == 1
    assert "lines at 400 runs" not in text
    assert text.endswith(f"{verdict.BEFORE}\nold table\n")


def test_prechelts_rules_stop_at_a_rise_and_keep_the_minimum_before_it():
    rising = np.array([0.6, 0.4, 0.38, 0.45, 0.30])
    assert generalization_loss(rising) == 2
    assert generalization_loss(np.array([0.6, 0.5, 0.4])) == 2
    assert progress_quotient(rising, np.full((5, 5), 0.2)) == 2
    assert successive_rises(np.array([0.6, 0.4, 0.41, 0.42, 0.43, 0.3])) == 1
    assert successive_rises(np.array([0.6, 0.4, 0.41, 0.39, 0.43, 0.3])) == 5
    assert progress_quotient(rising, training_losses(5) * np.linspace(1, 9, 5)) == 4


def test_severity_measures_the_true_rise_and_takes_its_shares_from_the_probe():
    world = replace(World(), n=400)
    (curves,) = simulated(world, "severity")
    asked = []

    def shares(checkpoint, minimum):
        asked.append((checkpoint, minimum))
        return {"scale_share": statistics.share(1, 2), "agree_share": statistics.share(1, 4), "excess": None}

    estimate = severity(curves, "checkpoint-1000", "checkpoint-300", shares)
    assert estimate.excess.low < truth(world).nll[-1] - truth(world).nll[2] < estimate.excess.high
    assert asked == [("checkpoint-1000", "checkpoint-300")]
    assert (estimate.scale_share.value, estimate.agree_share.value) == (0.5, 0.25)
    assert severity(curves, "checkpoint-1000", "checkpoint-300").scale_share.value is None


def test_every_shape_is_simulated():
    for name in shapes(World()):
        (curves,) = simulated(World(name, 30), "all")
        assert np.isfinite(curves.nll_sums).all()


def test_the_rise_of_perplexity_is_found_in_every_unit_of_time():
    world = World(n=500)
    (curves,) = simulated(world, "rise")
    result = rise(curves)
    assert result["step"].low <= truth(world, margin=2.0).onset <= result["step"].high
    assert result["cumulative_lr"].value == pytest.approx(result["step"].value * world.learning_rate, rel=0.01)


def test_picks_of_another_tool_are_read_as_checkpoint_indices(tmp_path, monkeypatch):
    (tmp_path / "finetune_doctor").mkdir()
    (tmp_path / "finetune_doctor" / "history.py").write_text("from_trainer_state = dict\n")
    (tmp_path / "finetune_doctor" / "__init__.py").write_text(
        "from types import SimpleNamespace as N\n"
        "def diagnose(history, metric):\n"
        "    rows = [r for r in history['log_history'] if 'eval_loss' in r]\n"
        "    best = max(rows, key=lambda r: r[metric]) if metric else min(rows, key=lambda r: r['eval_loss'])\n"
        "    return N(pick=N(best_step=best['step']))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runs = [simulated(World(n=60), "doctor", seed)[0] for seed in range(2)]
    result = finetune_doctor(runs, sys.executable)
    assert result["finetune-doctor"] == [int((r.nll_sums.sum(1)).argmin()) for r in runs]
    assert result["finetune-doctor, by accuracy"] == [int(r.correct.mean(1).argmax()) for r in runs]
