from dataclasses import replace

import pytest

from studies.coverage import coverage
from studies.populations import cells

CHOSEN = [
    ("accuracy drop, paired", "accuracy 0.8, lost 0.12, won 0.02", 200),
    ("AUROC", "normal scores, 1.5 apart, as many members as not", 50),
    ("pass@4 of 16", "mixed questions", 50),
    ("ECE", "answers, 5 bins, overconfident by 0.15 at worst", 200),
    ("ECE", "answers, 5 bins, overconfident by 0.0 at worst", 200),
    ("TPR at 5% FPR", "normal scores, 1.5 apart", 200),
    ("pass@4 lost, paired", "mixed questions, chances of the later one times 0.85", 100),
    ("AUROC gained, paired", "normal scores, 0.5 and then 1.0 apart", 100),
    ("ECE gained, paired", "answers, overconfident by 0.15 and then by 0.3 at worst", 100),
]


@pytest.mark.parametrize("wanted", CHOSEN, ids=lambda c: f"{c[0]}, {c[1]}")
def test_intervals_hold_the_truth_about_as_often_as_they_say(wanted):
    (cell,) = [c for c in cells() if (c.quantity, c.setting, c.n) == wanted]
    result = coverage(cell, 200)
    assert 0.91 <= result.covered <= 0.985
    assert result.mean == pytest.approx(cell.truth, abs=result.width / 4)


def test_an_edge_is_named_only_where_hardly_anything_can_be_seen():
    named = {(c.quantity, c.setting, c.n) for c in cells() if c.edge}
    assert ("pass@4 of 16", "mostly easy", 200) in named
    assert not [c for c in named if c[0] in ("ECE", "AUROC", "accuracy", "accuracy drop, paired", "pass@1 of 16")]


def test_an_interval_of_half_the_width_fails_the_coverage_test():
    (cell,) = [c for c in cells() if (c.quantity, c.setting, c.n) == CHOSEN[1]]

    def halved(random):
        n = cell.draw(random)
        return replace(n, low=(n.low + n.value) / 2, high=(n.high + n.value) / 2)

    assert coverage(replace(cell, draw=halved), 200).covered < 0.8


def test_no_two_cells_are_the_same():
    names = [(c.quantity, c.setting, c.n) for c in cells()]
    assert len(set(names)) == len(names)
