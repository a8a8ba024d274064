import numpy as np
import pytest

from overmem.probes.carriers import carriers, costliest
from overmem.probes.mechanism import TokenExcess


def excess_of(*rows):
    """Rows are (example, token id, excess)."""
    example, token, excess = zip(*rows, strict=True)
    names = tuple(f"e{i}" for i in range(max(example) + 1))
    return TokenExcess(
        names, np.array(example), np.array(token), np.array(excess, dtype=np.float64), np.zeros(len(rows), dtype=bool)
    )


TOKENS = excess_of((0, 7, 3.0), (0, 5, 0.5), (0, 7, -1.0), (1, 7, 1.0), (1, 5, 0.5), (2, 9, 5.0))


def test_a_token_carries_its_share_of_the_rise_at_any_position():
    rows = carriers(TOKENS)
    assert [c.token_id for c in rows] == [9, 7, 5]
    assert [c.share.value for c in rows] == pytest.approx([0.5, 0.4, 0.1])
    assert [c.count for c in rows] == [1, 3, 2]
    assert rows[1].excess.value == pytest.approx(1.0)


def test_the_shares_of_all_tokens_are_the_whole_and_few_are_the_largest():
    assert sum(c.share.value for c in carriers(TOKENS)) == pytest.approx(1.0)
    assert carriers(TOKENS, 2) == carriers(TOKENS)[:2]


def test_a_share_has_an_interval_inside_0_and_1_with_the_example_as_its_cluster():
    share = carriers(TOKENS)[0].share
    assert share.n == 3
    assert 0 <= share.low < share.value < share.high <= 1


def test_examples_of_most_excess_come_first_by_their_net():
    assert costliest(TOKENS, 2) == [2, 0]


def test_without_a_rise_there_is_no_share():
    assert carriers(excess_of((0, 1, -1.0), (1, 1, -2.0)))[0].share.value is None
