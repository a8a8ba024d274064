"""Merges tried by the dozen, with a few seeds; docs/results/compare.md has the rates at full size."""

from dataclasses import replace

from studies import many_merges


def test_of_twenty_merges_each_one_point_worse_hardly_ever_one_is_shipped():
    assert sum(many_merges.is_shipped(many_merges.WORSE, seed) for seed in range(60)) <= 6


def test_a_merge_that_is_four_points_better_is_shipped():
    better = replace(many_merges.WORSE, gain=0.04, count=3)
    assert sum(many_merges.is_shipped(better, seed) for seed in range(20)) >= 16


def test_rows_of_one_question_are_one_question_when_a_merge_is_judged():
    equal = replace(many_merges.WORSE, n=2000, rows_per_question=10, gain=0.0, nll=0.0)
    assert sum(many_merges.is_shipped(equal, seed) for seed in range(60)) <= 7


def test_the_table_has_a_row_per_case():
    assert many_merges.merge_table(2).count("\n") == len(many_merges.CASES) + 1
