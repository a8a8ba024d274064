"""The golden numbers were computed with two BLAS threads; another count sums in another order (last digit)."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        yield
