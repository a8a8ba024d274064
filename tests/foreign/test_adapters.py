"""Adapters that change more than two matrices of a layer, one after another: scored as they were in memory."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from overmem.encoding import Encoded
from overmem.models.discovery import find_checkpoints
from overmem.models.loading import Skeleton
from overmem.observe.score import scores
from tests.foreign.conftest import plain_logprobs

IDS = tuple(range(1, 12))
KINDS = {
    "trainable tokens": {"trainable_token_indices": [3, 5]},
    "layer replication": {"layer_replication": [[0, 2], [1, 2]]},
    "saved output layer": {"modules_to_save": ["lm_head"]},
}


@pytest.fixture(params=[True, False], ids=["tied", "apart"])
def run(request, tmp_path):
    """A base model and four checkpoints of each kind of adapter, with random weights."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=request.param,
    )  # fmt: skip
    in_memory = {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
        for kind, more in KINDS.items():
            for step in (1, 2, 3, 4):
                base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
                model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **more))
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        torch.nn.init.normal_(parameter, std=0.3)
                in_memory[kind, step] = plain_logprobs(model.eval(), IDS)[2:].numpy()
                model.save_pretrained(tmp_path / kind / f"checkpoint-{step}")
    return tmp_path, in_memory


@pytest.mark.parametrize("kind", KINDS)
def test_every_checkpoint_is_scored_as_it_was_in_memory(run, kind):
    root, in_memory = run
    skeleton = Skeleton(str(root / "base"))
    for ref in find_checkpoints(root / kind, str(root / "base")):
        if ref.checkpoint.step:
            scored = scores(skeleton.model(ref), [Encoded("a", IDS[:3], IDS[3:])], token_budget=64)
            assert scored.logprob == pytest.approx(in_memory[kind, ref.checkpoint.step], abs=1e-4), ref.checkpoint.name
