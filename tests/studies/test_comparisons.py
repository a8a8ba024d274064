"""Equal recipes compared, and intervals over seeds, with a few runs; docs/results/compare.md has all of them."""

import pytest

from studies import comparisons, equal_runs, seeds

FAST = ("equal, flat, 5 seeds", "equal, nll luck of 2% and accuracy luck of 1 point, 1 seed")
CASES = [
    pytest.param(recipes, id=name, marks=() if name in FAST else pytest.mark.slow)
    for name, recipes, _ in equal_runs.EQUALS
]


def test_the_cases_that_run_fast_exist():
    assert set(FAST) <= {name for name, *_ in equal_runs.EQUALS}


@pytest.mark.parametrize("recipes", CASES)
def test_equal_recipes_are_hardly_ever_claimed_to_differ(recipes):
    result = [equal_runs.claims(recipes, seed) for seed in range(20)]
    assert sum(c.accuracy or c.nll for c in result) <= 3


def test_a_recipe_that_is_five_points_worse_is_recognized():
    recipes = dict((what, r) for what, r, _ in equal_runs.CASES)["b five points less accurate, 1 seed"]
    assert sum(equal_runs.claims(recipes, seed).accuracy for seed in range(10)) >= 5


@pytest.mark.parametrize("count", seeds.SEEDS)
@pytest.mark.parametrize("luck", seeds.LUCKS)
def test_an_interval_over_few_seeds_holds_the_truth(count, luck):
    held, _ = seeds.coverage("overmem (Hartung-Knapp-Sidik-Jonkman)", count, luck, 300)
    assert held.value >= 0.92


def test_a_table_is_written_into_its_section_of_the_page():
    page = comparisons.TEMPLATE.read_text(encoding="utf-8")
    for section in comparisons.TABLES:
        assert f"<!-- {section} -->\n| a |\n<!-- end -->" in comparisons.written(page, section, "| a |")
