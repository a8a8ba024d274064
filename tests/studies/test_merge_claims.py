"""Simulated searches, a few; docs/results/merge_search.md has the rates at full size."""

from dataclasses import replace

from overmem import store
from studies.merge_claims import BETTER, CASES, claim, claims_table, simulate
from studies.merge_page import over_runs, picked_table, regret_table, regrets
from studies.merge_worlds import Equal, written

SMALL = replace(Equal(), n=120, checkpoints=4)


def test_a_simulated_run_is_read_back_as_it_was_drawn(tmp_path):
    world = replace(SMALL, n=20, draws=2)
    simulated = written(world, 0, tmp_path)
    curves = store.read_curves(simulated.run, "val")
    drawn = simulated.drawn_answers("checkpoint-100", "val")
    assert curves.correct[1].tolist() == drawn[:, 0].astype(float).tolist()
    assert abs(curves.nll_sums[1] - simulated.drawn_nll("checkpoint-100", "val")).max() < 1e-5
    assert simulated.answers_of("checkpoint-100", "val")["val3"] == (float(drawn[3, 0]), float(drawn[3, 1:].any()))


def test_equal_merges_are_hardly_ever_recommended_and_a_much_better_one_is(tmp_path):
    assert sum(claim(SMALL, seed).recommended for seed in range(2)) <= 1
    better = replace(SMALL, gain=0.15)
    assert [claim(better, seed).recommended for seed in range(1)] == [True]


def test_simulations_are_kept_and_the_table_has_what_there_is(tmp_path):
    cases = {"equal": CASES["equal"]}
    folder = tmp_path
    store.write_json(next(iter(_paths(folder))), [[False, False]] * 20)
    simulate(20, folder, cases)  # nothing is left to simulate
    assert "| equal | 500 | 20 | 0.0 (0.0–16.1) |" in claims_table(folder)


def _paths(folder):
    from studies import merge_claims

    return [merge_claims._path(CASES["equal"], folder)]


def test_regret_is_zero_for_the_best_choice_and_paired_by_run():
    names = list(regrets([], "accuracy"))
    runs = [
        {
            "cell": "full, 1e-3",
            "choices": {name: {"accuracy": 0.9 - 0.01 * i, "nll": 0.3 + 0.01 * i} for i, name in enumerate(names)},
            "picked": None,
            "recommended": False,
            "search_seconds": 30.0,
        }
    ] * 3
    assert regrets(runs, "accuracy")[names[0]].tolist() == [0, 0, 0]
    assert over_runs(regrets(runs, "nll")[names[1]]).value > 0
    assert regret_table(runs).count("\n") == len(names) + 1
    assert "the single checkpoint 3" in picked_table(runs)
    assert set(BETTER)
