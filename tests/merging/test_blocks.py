"""A weighted sum in blocks is that of whole tensors, to the last bit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from overmem.merging import blocks
from overmem.merging.weights import open_weights
from overmem.rules.weighting import weighted_sum


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_sum_is_that_of_whole_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: torch.dtype, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(blocks, "_BLOCK", 7)
    tensors = [torch.randn(5, 9, generator=torch.Generator().manual_seed(i)).to(stored) for i in range(3)]
    tensors[1][2, 3] = float("inf")  # its weight is 0
    for i, tensor in enumerate(tensors):
        (tmp_path / str(i)).mkdir()
        save_file({"a": tensor, "empty": torch.zeros(0, 4, dtype=stored)}, tmp_path / str(i) / "model.safetensors")
    with open_weights(tmp_path / "0") as a, open_weights(tmp_path / "1") as b, open_weights(tmp_path / "2") as c:
        summed = [part.clone() for part in blocks.sum_in_blocks([a, b, c], (0.3, 0.0, 0.7), "a", dtype)]
        assert not list(blocks.sum_in_blocks([a, b, c], (0.3, 0.0, 0.7), "empty", dtype))
    whole = weighted_sum([blocks.upcast(tensor) for tensor in tensors], (0.3, 0.0, 0.7)).to(dtype)
    assert [len(part) for part in summed] == [7] * 6 + [3]
    assert torch.equal(torch.cat(summed), whole.reshape(-1))
