"""Matrix products by packed weights: the same numbers inside, and nothing left of it after."""

import psutil
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.observe.engines import packed as module
from overmem.observe.engines.packed import packed

IDS = torch.arange(24).reshape(2, 12)

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(module, "SMALLEST", 2**10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=60, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            attention_bias=True, initializer_range=0.3,
        )  # fmt: skip
        return LlamaForCausalLM(config).eval()


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits


def replaced(model):
    return [name for name, m in model.named_modules() if "forward" in m.__dict__]


@needs_onednn
@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
def test_the_logits_are_those_of_the_model_and_the_layers_are_its_own_again(model, dtype, apart):
    model.to(dtype)
    before = logits(model)
    with packed(model):
        assert len(replaced(model)) == 2 * 7 + 1
        inside = logits(model)
    assert replaced(model) == []
    assert float((inside - before).abs().max()) < apart * float(before.abs().max())
    torch.testing.assert_close(logits(model), before, rtol=0, atol=0)


@needs_onednn
def test_weights_that_changed_in_between_are_packed_again(model):
    with packed(model):
        first = logits(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(2)
    with packed(model):
        torch.testing.assert_close(logits(model), 2 * first, rtol=1e-4, atol=1e-4)


def test_after_an_error_the_layers_are_its_own_again(model):
    with pytest.raises(ValueError, match="inside"), packed(model):
        raise ValueError("inside")
    assert replaced(model) == []


def test_without_room_for_the_copies_nothing_is_packed(model, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1024}))
    with packed(model):
        assert replaced(model) == []


@needs_onednn
def test_a_layer_that_has_a_forward_call_of_its_own_keeps_it(model):
    model.lm_head.forward = own = model.lm_head.forward
    with packed(model), packed(model):
        assert model.lm_head.forward is own
    assert replaced(model) == ["lm_head"]


def test_layers_that_are_not_plain_ones_are_left_alone(model):
    class Doubled(nn.Linear):
        def forward(self, rows):
            return 2 * super().forward(rows)

    doubled = Doubled(64, 64)
    with packed(doubled):
        assert replaced(doubled) == []
