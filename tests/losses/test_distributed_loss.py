"""Two processes give the gradients of one: DDP and FSDP2, on CPU through gloo."""

import pytest
import torch.multiprocessing as mp
from two_processes import compare_gradients


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("wrapper", ["ddp", "ddp, find_unused_parameters", "fsdp2"])
def test_two_processes_give_the_gradients_of_one(wrapper, tmp_path):
    mp.spawn(compare_gradients, (wrapper, str(tmp_path)), nprocs=2)
    assert all(float((tmp_path / str(rank)).read_text()) < 1e-10 for rank in range(2))
