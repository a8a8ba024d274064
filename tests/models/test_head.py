"""Output layers: the supported ones are read, all others are refused by name."""

import pytest
import torch
import transformers as hf
from architectures import SMALL, model_of
from torch import nn

from overmem.errors import BadRequest
from overmem.losses.driver import attach, head_of


class Unusual(hf.LlamaForCausalLM):
    """Scales its logits by a factor that is not in the configuration."""

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = output.logits * 1.7
        return output


def test_a_model_with_unknown_changes_to_its_logits_is_refused():
    model = Unusual(hf.LlamaConfig(**SMALL))
    model.lm_head.weight.data.mul_(50)
    with pytest.raises(BadRequest, match="Unusual"):
        attach(model)


def test_an_output_matrix_partitioned_by_zero_3_is_refused():
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
