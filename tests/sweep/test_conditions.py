"""The recipes and audit options that a sweep file gives."""

import pytest

from overmem.errors import BadRequest
from overmem.sweep.conditions import planned_runs
from overmem.sweep.options import Sweep, read_sweep


def test_every_combination_with_every_seed_is_one_run():
    vary = {"learning_rate": ["3e-4", 1e-3], "method": ["full", "lora"]}
    runs = planned_runs(Sweep("sweeps/x", {"epochs": 2}, vary, seeds=3))
    assert len(runs) == 12
    assert [run.seed for run in runs[:5]] == [0, 0, 0, 0, 1]
    first = runs[0]
    assert first.name == "learning_rate-0.0003_method-full_seed-0"
    assert first.levels == {"learning_rate": "0.0003", "method": "full"}
    assert (first.recipe.learning_rate, first.recipe.epochs, first.recipe.seed) == (3e-4, 2.0, 0)
    assert first.recipe.output == first.audit.run == "sweeps/x/runs/learning_rate-0.0003_method-full_seed-0"


def test_dotted_keys_reach_into_the_recipe_and_leave_the_rest():
    vary = {"data.train": [10, 20], "trainer.weight_decay": [0.0, 0.1]}
    runs = planned_runs(Sweep("s", {"data": {"val": 7}, "trainer": {"max_grad_norm": 2}}, vary, seeds=[4]))
    last = runs[-1].recipe
    assert (last.data.train, last.data.val, last.seed) == (20, 7, 4)
    assert last.trainer == {"max_grad_norm": 2, "weight_decay": 0.1}
    assert runs[-1].name == "train-20_weight_decay-0.1_seed-4"


def test_a_level_may_set_several_keys():
    vary = {"remedy": {"plain": {}, "mar": {"loss": "mar", "loss_knobs": {"stop_gradient": False}}}}
    plain, mar = planned_runs(Sweep("s", {}, vary, seeds=1))
    assert (plain.recipe.loss, mar.recipe.loss) == ("nll", "mar")
    assert (plain.condition, mar.condition) == ("remedy plain", "remedy mar")


@pytest.mark.parametrize(("varied", "seeds"), [(True, [0, 1]), (False, [0, 0])])
def test_the_seed_draws_the_problems_only_on_request(varied, seeds):
    runs = planned_runs(Sweep("s", seeds=2, vary_data=varied))
    assert [run.recipe.data.seed for run in runs] == seeds
    assert [run.recipe.seed for run in runs] == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("output: s\nvary: {learning_rte: [1]}", "unknown key 'learning_rte'"),
        ("output: s\nvarry: {}", "unknown key 'varry'"),
        ("output: s\nrecipe: {seed: 1}", "'seed' is set by the sweep itself"),
        ("output: s\naudit: {run: x}", "unknown option 'run'"),
        ("output: s\naudit: {rows: many}", "rows"),
        ("output: s\nvary: {loss: []}", "'loss' has no levels"),
        ("output: s\nvary: {learning_rate: [0.1, 0.10]}", "two runs would be named"),
        ("output: s\nseeds: 0", "seeds is 0"),
        ("output: s\nseeds: 10001", "10001 runs; allowed: at most 10000"),
        ("output: s\nkeep: some", "keep"),
        ("- a", "list where a mapping"),
    ],
)
def test_unknown_keys_and_values_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(content)
    with pytest.raises(BadRequest, match=message):
        planned_runs(read_sweep(path), str(path))
