"""The laws of the family, run over the whole table."""

import inspect

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.errors import BadRequest
from overmem.tables import first_line, knobs
from overmem.training.recipe import Recipe
from overmem.training.verb import train
from overmem.tuning import CHANGES_BASE, TUNING
from overmem.tuning.base import check_quantized

ALL = pytest.mark.parametrize("name", TUNING)
SMALL = {"ia3": {}, "full": {}, "ln_tuning": {}, "prompt_tuning": {"tokens": 3}}
IDS = torch.arange(12)[None]


def base_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
        )
        return LlamaForCausalLM(config).eval()


def tuned(name):
    return TUNING[name](base_model(), **SMALL.get(name, {"r": 4}))


@ALL
def test_every_method_says_what_it_is_where_it_is_from_and_how_it_differs(name):
    text = inspect.getdoc(TUNING[name])
    assert len(first_line(TUNING[name])) > 10
    assert "Source:" in text
    assert "Differs from the paper:" in text
    for knob in knobs(TUNING[name]):
        assert f"{knob}:" in text


@ALL
def test_training_begins_at_the_base_model(name):
    with torch.no_grad():
        ours, theirs = tuned(name).eval()(IDS).logits[:, -12:], base_model()(IDS).logits
    if name == "prompt_tuning":  # whose prompt is there from the start
        assert not torch.allclose(ours, theirs)
    else:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@ALL
def test_something_learns_and_only_full_lets_everything_learn(name):
    model = tuned(name)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    everything = sum(p.numel() for p in model.parameters())
    assert learning > 0
    assert (learning == everything) == (name == "full")


@ALL
def test_only_methods_declared_to_change_the_base_do(name):
    model, before = tuned(name).train(), base_model().state_dict()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(input_ids=IDS, labels=IDS).loss.backward()
    optimizer.step()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    after = {key.replace(".base_layer", ""): value for key, value in inner.state_dict().items()}
    changed = any(not torch.equal(value, after[key]) for key, value in before.items() if key in after)
    assert changed == (name in CHANGES_BASE - {"ln_tuning"})  # which keeps a trained copy beside it


def test_a_setting_that_cannot_be_is_refused():
    with pytest.raises(BadRequest, match="r is 0"):
        TUNING["lora"](base_model(), r=0)
    with pytest.raises(BadRequest, match="no_such_layer"):
        TUNING["dora"](base_model(), target_modules=["no_such_layer"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_quantised_base_is_refused_before_anything_is_read_where_there_is_no_cuda(tmp_path):
    recipe = Recipe(str(tmp_path / "run"), model="no/such/model", method="lora", quantize="4bit")
    with pytest.raises(BadRequest, match="needs a CUDA device"):
        train(recipe)
    assert not (tmp_path / "run").exists()


def test_a_quantised_base_is_refused_without_bitsandbytes(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("overmem.tuning.base.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match="pip install bitsandbytes"):
        check_quantized("8bit", "lora")


@pytest.mark.parametrize("name", sorted(CHANGES_BASE))
def test_a_method_that_changes_the_base_is_refused_on_a_quantised_one(name):
    with pytest.raises(BadRequest, match=f"{name}.*allowed"):
        check_quantized("4bit", name)
    check_quantized("none", name)
