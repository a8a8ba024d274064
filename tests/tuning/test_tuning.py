"""Contract tests: what holds for every fine-tuning method in the table."""

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


def tuned_model(name):
    return TUNING[name](base_model(), **SMALL.get(name, {"r": 4}))


@ALL
def test_every_method_documents_its_source_its_knobs_and_how_it_differs(name):
    text = inspect.getdoc(TUNING[name])
    assert len(first_line(TUNING[name])) > 10
    assert "Source:" in text
    assert "Differs from the paper:" in text
    for knob in knobs(TUNING[name]):
        assert f"{knob}:" in text


@ALL
def test_training_starts_at_the_base_model(name):
    with torch.no_grad():
        ours, theirs = tuned_model(name).eval()(IDS).logits[:, -12:], base_model()(IDS).logits
    if name == "prompt_tuning":  # its random prompt changes the output from the start
        assert not torch.allclose(ours, theirs)
    else:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@ALL
def test_some_weights_are_trainable_and_all_only_with_full(name):
    model = tuned_model(name)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    assert trainable > 0
    assert (trainable == total) == (name == "full")


@ALL
def test_only_the_methods_in_changes_base_change_the_base(name):
    model, before = tuned_model(name).train(), base_model().state_dict()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(input_ids=IDS, labels=IDS).loss.backward()
    optimizer.step()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    after = {key.replace(".base_layer", ""): value for key, value in inner.state_dict().items()}
    changed = any(not torch.equal(value, after[key]) for key, value in before.items() if key in after)
    assert changed == (name in CHANGES_BASE - {"ln_tuning"})  # PEFT trains a copy and leaves the original unchanged


def test_an_impossible_setting_is_refused():
    with pytest.raises(BadRequest, match="r is 0"):
        TUNING["lora"](base_model(), r=0)
    with pytest.raises(BadRequest, match="no_such_layer"):
        TUNING["dora"](base_model(), target_modules=["no_such_layer"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_a_quantised_base_without_cuda_is_refused_before_anything_is_loaded(tmp_path):
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
