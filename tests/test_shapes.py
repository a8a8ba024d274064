"""The suite's own check of shapes: what is wrong is refused, at a function and at a record."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation

from overmem.statistics import mean, ratio
from overmem.statistics.reliability import Claims

THREE, FOUR = np.ones(3), np.ones(4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ratio(THREE, FOUR),
        lambda: mean(np.ones((2, 2))),
        lambda: mean([1.0]),
        lambda: Claims(THREE, THREE > 0, np.arange(4)),
        lambda: Claims(THREE, THREE, np.arange(3)),
    ],
    ids=["one dimension of two lengths", "two dimensions", "a list", "a record's lengths", "a record's type"],
)
def test_a_wrong_shape_is_refused(wrong):
    with pytest.raises(BeartypeCallHintParamViolation):
        wrong()


def test_lengths_may_differ_from_call_to_call():
    assert (mean(THREE).n, mean(FOUR).n) == (3, 4)
