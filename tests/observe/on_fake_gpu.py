"""Scoring, caching, choosing tokens and the losses on a device that holds no data, in a process of its own.

PyTorch registers a device `fakegpu` without kernels, and FakeTensorMode computes shapes, types and devices on it and
refuses an operation on two devices, as a GPU does. (On `cuda` itself a build for CPUs cannot even index.) What needs
content is given zeros (`tolist`, a copy to NumPy) or everything (a mask as an index).

    python tests/observe/on_fake_gpu.py score | complete | share | losses | mixed
"""

import sys

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.encoding import Encoded
from overmem.losses import LOSSES, driver
from overmem.losses.driver import model_loss
from overmem.losses.gate import trait
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks, PromptBatch
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.score import scores
from overmem.observe.shared_prefill import _continue_from_cache

DEVICE = "fakegpu"
CONFIG = LlamaConfig(
    vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
    max_position_embeddings=128, eos_token_id=1, pad_token_id=0,
)  # fmt: skip
ENCODED = [Encoded(f"e{i}", tuple(range(2, 5 + i)), tuple(range(3, 8 + i))) for i in range(5)]
PROMPTS, NAMES = [e.prompt_ids for e in ENCODED], [e.example_id for e in ENCODED]
TOKENS = sum(len(e.solution_ids) for e in ENCODED)


class EverythingIsKept(TorchFunctionMode):
    """A mask as an index keeps all: how much it would keep is content. It has to be on the same device, though."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is torch.tensor and torch.device((options or {}).get("device") or "cpu").type == DEVICE:
            data = np.array(arguments[0])
            kind = options.get("dtype") or (torch.int64 if data.dtype.kind == "i" else torch.float32)
            return torch.zeros(data.shape, dtype=kind, device=DEVICE)
        if function is torch.Tensor.__bool__ and arguments[0].device.type == DEVICE:
            return False  # of zeros
        if function is torch.Tensor.__getitem__ and isinstance(arguments[1], torch.Tensor):
            tensor, index = arguments
            if index.dtype == torch.bool:
                assert tensor.device == index.device
                return tensor.flatten(0, index.ndim - 1)
        return function(*arguments, **(options or {}))


def model_on_gpu():
    """A model whose weights and buffers are all on the device."""
    model = LlamaForCausalLM(CONFIG).eval()
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    kind = torch.bfloat16 if tensors is module._parameters else tensor.dtype
                    empty = torch.empty(tensor.shape, dtype=kind, device=DEVICE)
                    tensors[name] = torch.nn.Parameter(empty) if tensors is module._parameters else empty
    assert {tensor.device.type for tensor in [*model.parameters(), *model.buffers()]} == {DEVICE}
    return model


def score():
    """Solutions."""
    observed = scores(model_on_gpu(), ENCODED, token_budget=16)
    assert len(observed.logprob) == TOKENS


def complete():
    """More prompts than there are slots: rows end, others take their places, and the cache moves back."""
    engine = HuggingFace(EngineSettings(token_budget=64), model_on_gpu())
    batch = PromptBatch(PROMPTS, NAMES, Decoding(2, max_new_tokens=6), (1,))
    assert len(list(engine.complete(batch, Hooks()))) == 3 * len(ENCODED)


def share():
    """Scores that continue from the cache of a prefill."""
    model, seen = model_on_gpu(), []

    def score_rows(prefill):
        encoded = [ENCODED[i] for i in prefill.prompts]
        seen.append(_continue_from_cache(model, encoded, prefill, list(range(len(encoded)))))

    batch = PromptBatch(PROMPTS, NAMES, Decoding(1, max_new_tokens=4), ())
    list(HuggingFace(EngineSettings(token_budget=4096), model).complete(batch, Hooks(on_prefill=score_rows)))
    assert sum(len(argmax) for _, argmax, _ in seen) == TOKENS


def losses():
    """Every loss, forward."""
    driver.check_head = lambda inner: None  # it compares numbers
    model = model_on_gpu()
    ids = torch.ones(2, 7, dtype=torch.long, device=DEVICE)
    for name, loss in LOSSES.items():
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
        if trait(loss, "needs_reference"):
            batch["reference_logprob"] = torch.zeros(2, 7, device=DEVICE)
        value, result = model_loss(model, batch, loss, denominator=12)
        assert value.device.type == result.nll.device.type == DEVICE, name
        assert result.nll.shape == (12,), name


def mixed():
    """A tensor of the CPU where one of the device is needed: has to be refused, or the others show nothing."""
    with pytest.raises(RuntimeError, match="two devices"):
        torch.ones(2, device=DEVICE) + torch.ones(2)


class Backend(_DummyBackendModule):
    """What PyTorch asks of a device, and what autocast asks too."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


if __name__ == "__main__":
    _setup_privateuseone_for_python_backend(DEVICE, Backend())
    FakeTensorMode.avoid_device_init = property(lambda self: True)
    FakeTensor.numpy = lambda self: np.zeros(tuple(self.shape))
    FakeTensor.tolist = lambda self: np.zeros(tuple(self.shape), dtype=int).tolist()
    with FakeTensorMode(), EverythingIsKept():
        {f.__name__: f for f in (score, complete, share, losses, mixed)}[sys.argv[1]]()
