"""`model_loss` on tiny models of real architectures equals the computation from full logits."""

import copy
import functools

import pytest
import torch
import transformers as hf
from architectures import ARCHITECTURES, SMALL, batch_of, model_of, spread_out
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import Tensor, nn

from overmem.errors import BadRequest
from overmem.losses import LOSSES
from overmem.losses.driver import attach, model_loss
from overmem.losses.goldfish import goldfish_labels

EACH = pytest.mark.parametrize("kind", ARCHITECTURES)


def full_logits_loss(model: nn.Module, batch: dict[str, Tensor], loss) -> Tensor:
    """The mean loss over trained tokens, from the model's full logits, shifted by one."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits, labels = logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
    kept = labels != -100
    return loss(logits[kept], labels[kept]).sum() / kept.sum()


def gradients(loss: Tensor, model: nn.Module) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor], rtol: float = 1e-7) -> None:
    assert actual.keys() == expected.keys()
    for name in actual:
        torch.testing.assert_close(
            actual[name], expected[name], rtol=rtol, atol=1e-10, msg=lambda m, name=name: f"{name}: {m}"
        )


@EACH
@pytest.mark.parametrize("name", ["nll", "mar", "gem"])
def test_model_loss_equals_the_loss_of_full_logits_on_every_architecture(kind, name):
    model, batch = model_of(kind), batch_of()
    expected = full_logits_loss(model, batch, LOSSES[name])
    expected_gradients = gradients(expected, model)
    loss, result = model_loss(model, batch, LOSSES[name], chunk=5)
    torch.testing.assert_close(loss, expected)
    assert_same(gradients(loss, model), expected_gradients)
    assert result.tokens == int((batch["labels"][:, 1:] != -100).sum())


@EACH
def test_nll_equals_the_loss_that_the_model_itself_reports(kind):
    model, batch = model_of(kind), batch_of()
    torch.testing.assert_close(model_loss(model, batch, LOSSES["nll"])[0].float(), model(**batch).loss)


def test_a_mixture_of_experts_keeps_its_balancing_loss():
    knobs = {**SMALL, "num_local_experts": 4, "output_router_logits": True, "router_aux_loss_coef": 0.5}
    model, batch = spread_out(hf.MixtralForCausalLM(hf.MixtralConfig(**knobs))).float(), batch_of()
    theirs = model(**batch).loss
    expected = gradients(theirs, model)
    loss, _ = model_loss(model, batch, LOSSES["nll"])
    torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=0)
    assert_same(gradients(loss, model), expected, rtol=1e-2)


LORA_CASES = [  # PEFT does not adapt a tied output layer
    ("llama, tied", "attention"),
    *(
        (kind, placement)
        for kind in ("llama", "gemma2, soft cap")
        for placement in ("attention", "layer", "whole layer")
    ),
]


@pytest.mark.parametrize(("kind", "placement"), LORA_CASES)
def test_model_loss_equals_the_loss_of_full_logits_with_lora_on_attention_or_on_the_output_layer(kind, placement):
    targets = ["q_proj", "lm_head"] if placement == "layer" else ["q_proj"]
    saved = ["lm_head"] if placement == "whole layer" else None
    config = LoraConfig(
        target_modules=targets, modules_to_save=saved, init_lora_weights=False, task_type="CAUSAL_LM", r=2
    )
    changes = {} if kind == "llama, tied" else {"tie_word_embeddings": False}
    model, batch = get_peft_model(model_of(kind, **changes), config), batch_of()
    expected = full_logits_loss(model, batch, LOSSES["mar"])
    expected_gradients = gradients(expected, model)
    loss, _ = model_loss(model, batch, LOSSES["mar"], chunk=7)
    torch.testing.assert_close(loss, expected)
    assert_same(gradients(loss, model), expected_gradients)
    assert all("lora" in name or "modules_to_save" in name for name in expected_gradients)


def test_model_loss_equals_the_models_own_loss_with_prompt_tuning():
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model, batch = get_peft_model(model_of("llama"), config), batch_of()
    theirs = model(**batch).loss
    expected = gradients(theirs, model)
    loss, _ = model_loss(model, batch, LOSSES["nll"])
    torch.testing.assert_close(loss.float(), theirs)
    assert_same(gradients(loss, model), expected, rtol=1e-3)


def test_dropout_on_an_adapted_output_layer_is_refused_while_training():
    config = LoraConfig(target_modules=["lm_head"], lora_dropout=0.1, task_type="CAUSAL_LM")
    model = get_peft_model(model_of("llama"), config)
    with pytest.raises(BadRequest, match="lora_dropout"):
        model_loss(model.train(), batch_of(), LOSSES["nll"])
    assert torch.isfinite(model_loss(model.eval(), batch_of(), LOSSES["nll"])[0])


def accumulated(model: nn.Module, batches: list[dict[str, Tensor]], loss, tokens: int | None) -> dict[str, Tensor]:
    model.zero_grad()
    for batch in batches:
        model_loss(model, batch, loss, denominator=tokens)[0].backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["nll", "mar", "dft", "eaft", "gem", "goldfish"])
def test_accumulating_four_batches_of_one_equals_one_batch_of_four(name):
    model, batch = model_of("llama"), batch_of()
    loss = functools.partial(LOSSES[name], context=3) if name == "goldfish" else LOSSES[name]
    tokens = int((batch["labels"][:, 1:] != -100).sum())
    rows = [{key: value[row : row + 1] for key, value in batch.items()} for row in range(4)]
    assert_same(accumulated(model, rows, loss, tokens), accumulated(model, [batch], loss, tokens))


def test_the_accumulation_test_detects_a_mean_over_each_batch():
    model, batch = model_of("llama"), batch_of()
    rows = [{key: value[row : row + 1] for key, value in batch.items()} for row in range(4)]
    with pytest.raises(AssertionError):
        assert_same(accumulated(model, rows, LOSSES["nll"], None), accumulated(model, [batch], LOSSES["nll"], None))


def test_the_comparison_with_full_logits_detects_a_wrong_shift():
    model, batch = model_of("llama"), batch_of()
    unshifted = {**batch, "labels": torch.roll(batch["labels"], -1, dims=1)}
    with pytest.raises(AssertionError):
        torch.testing.assert_close(
            model_loss(model, unshifted, LOSSES["nll"])[0], full_logits_loss(model, batch, LOSSES["nll"])
        )


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_positions_add_nothing_to_loss_or_gradient(name):
    model, batch = model_of("llama"), batch_of()
    batch["reference_logprob"] = torch.full(batch["labels"].shape, -1.0, dtype=torch.float64)
    changed = {**batch, "reference_logprob": batch["reference_logprob"].clone()}
    changed["reference_logprob"][batch["labels"] == -100] = -9.0
    loss, result = model_loss(model, batch, LOSSES[name])
    expected = gradients(loss, model)
    changed_loss, _ = model_loss(model, changed, LOSSES[name])
    assert_same(gradients(changed_loss, model), expected)
    torch.testing.assert_close(changed_loss, loss)
    all_ignored = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    no_loss, empty = model_loss(model, all_ignored, LOSSES[name])
    assert no_loss.item() == 0.0
    assert empty.tokens == 0
    assert result.tokens > 0
    assert not any(gradient.any() for gradient in gradients(no_loss, model).values())


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["nll", "mar", "goldfish"])
def test_padding_makes_no_difference(side, name):
    model, batch = model_of("llama"), batch_of()
    width = (5, 0) if side == "left" else (0, 5)
    fills = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    padded = {key: nn.functional.pad(value, width, value=fills[key]) for key, value in batch.items()}
    if side == "left":
        padded["position_ids"] = (padded["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    loss = functools.partial(LOSSES[name], context=3) if name == "goldfish" else LOSSES[name]
    expected, actual = (model_loss(model, b, loss)[0] for b in (batch, padded))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("name", ["nll", "mar"])
def test_packing_two_rows_into_one_makes_no_difference(name):
    model, batch = model_of("llama"), batch_of(rows=2)
    packed = {
        "input_ids": batch["input_ids"].reshape(1, -1),
        "labels": batch["labels"].reshape(1, -1),  # the first label of each row is ignored already
        "position_ids": torch.arange(12).repeat(2)[None],
    }
    separate, together = (model_loss(model, b, LOSSES[name])[0] for b in (batch, packed))
    torch.testing.assert_close(together, separate)


def test_the_reference_is_aligned_with_the_tokens():
    model, batch = model_of("llama"), batch_of()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.detach()
    observed = torch.zeros(batch["labels"].shape, dtype=torch.float64)
    following = batch["input_ids"][:, 1:, None]
    observed[:, 1:] = torch.log_softmax(logits[:, :-1], -1).gather(-1, following).squeeze(-1)
    with_reference = {**batch, "reference_logprob": observed}
    ours, dft = (model_loss(model, with_reference, LOSSES[name])[0] for name in ("asft", "dft"))
    torch.testing.assert_close(ours, dft)  # at the base model the penalty is 0
    with pytest.raises(BadRequest, match="reference_logprob"):
        model_loss(model, batch, LOSSES["asft"])


def test_goldfish_removes_the_same_labels_inside_model_loss_and_beforehand():
    model, batch = model_of("llama"), batch_of(time=30)
    knobs = {"k": 3, "context": 4}
    relabelled = {**batch, "labels": goldfish_labels(batch["input_ids"], batch["labels"], **knobs)}
    _, inside = model_loss(model, batch, functools.partial(LOSSES["goldfish"], **knobs))
    _, beforehand = model_loss(model, relabelled, LOSSES["nll"])
    _, all_labels = model_loss(model, batch, LOSSES["nll"])
    torch.testing.assert_close(inside.nll, beforehand.nll)
    assert inside.tokens < all_labels.tokens


def test_other_forward_calls_are_unchanged_and_a_deep_copy_uses_its_own_weights():
    model, batch = model_of("llama"), batch_of()
    beforehand = model(**batch)
    attach(model)
    attach(model)
    assert torch.equal(model(**batch).logits, beforehand.logits)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.model.embed_tokens.weight.mul_(2.0)
    assert not torch.equal(other(**batch).logits, beforehand.logits)
    ours = model_loss(other, batch, LOSSES["nll"])[0]
    torch.testing.assert_close(ours, full_logits_loss(other, batch, LOSSES["nll"]))
    assert model.generate(batch["input_ids"][:1], max_new_tokens=3, do_sample=False).shape[1] <= 15


def test_under_autocast_the_loss_is_summed_in_float32():
    model, batch = model_of("llama").float(), batch_of()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = model_loss(model, batch, LOSSES["mar"])
    assert loss.dtype == torch.float32
    loss.backward()
    assert model.lm_head.weight.grad.dtype == torch.float32
    torch.testing.assert_close(loss, full_logits_loss(model, batch, LOSSES["mar"]), rtol=3e-2, atol=0)
