"""Parameters of which the default suite takes a few and the slow suite the rest."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(fast: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """`values` for `pytest.mark.parametrize`, all but those in `fast` marked as slow."""
    fast, values = list(fast), list(values)
    assert all(value in values for value in fast)
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values]
