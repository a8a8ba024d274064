"""The output layer as the driver finds it: what it does not understand it refuses by name."""

import pytest
import torch
import transformers as hf
from architectures import SMALL, model_of
from torch import nn

from overmem.errors import BadRequest
from overmem.losses.driver import attach, head_of


class Unusual(hf.LlamaForCausalLM):
    """Does something to its logits that no configuration says."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 1.7
        return output


def test_an_unknown_output_layer_is_refused_instead_of_trained_wrongly():
    model = Unusual(hf.LlamaConfig(**SMALL))
    model.lm_head.weight.data.mul_(50)
    with pytest.raises(BadRequest, match="Unusual"):
        attach(model)


def test_an_output_matrix_that_was_taken_apart_is_refused_by_name():
    model = model_of("llama")
    model.lm_head.weight = nn.Parameter(torch.empty(0))
    model.lm_head.weight.ds_id = 7
    with pytest.raises(BadRequest, match="ZeRO-2, or FSDP2"):
        head_of(model)


def test_a_model_that_accelerate_has_prepared_already_is_refused():
    model = model_of("llama")
    model._original_forward = model.forward
    with pytest.raises(BadRequest, match="before accelerate"):
        attach(model)


def test_the_matrix_of_a_tied_head_is_the_embedding_itself():
    model = model_of("llama, tied")
    assert head_of(model).weight is model.model.embed_tokens.weight
