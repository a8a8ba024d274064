"""Adapters that change more than two matrices of a layer, one after another: scored as they were in memory."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from overmem.encoding import Encoded
from overmem.models.auto import auto_class
from overmem.models.discovery import find_checkpoints
from overmem.models.loading import Skeleton
from overmem.observe.engines.decoding import Decoding, PromptBatch
from overmem.observe.engines.hf import completions
from overmem.observe.score import scores
from tests.foreign.conftest import EOS, LONGEST, generated, plain_logprobs
from tests.foreign.decoders import tiny

IDS = tuple(range(1, 12))
KINDS = {
    "trainable tokens": {"trainable_token_indices": [3, 5]},
    "layer replication": {"layer_replication": [[0, 2], [1, 2]]},
    "saved output layer": {"modules_to_save": ["lm_head"]},
    "added tokens": {},
    "added and saved": {"modules_to_save": ["embed_tokens", "lm_head"]},
}
ADDED = 6
"""Tokens that the base model does not have."""


def ids_of(kind):
    return (*IDS, 66, 69) if "added" in kind else IDS


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
                if "added" in kind:
                    base.resize_token_embeddings(64 + ADDED, mean_resizing=False)
                model = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", **more))
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        torch.nn.init.normal_(parameter, std=0.3)
                in_memory[kind, step] = plain_logprobs(model.eval(), ids_of(kind))[2:].numpy()
                model.save_pretrained(tmp_path / kind / f"checkpoint-{step}")
    return tmp_path, in_memory


@pytest.mark.parametrize("kind", KINDS)
def test_every_checkpoint_is_scored_as_it_was_in_memory(run, kind):
    root, in_memory = run
    skeleton, ids = Skeleton(str(root / "base")), ids_of(kind)
    base, *adapted = find_checkpoints(root / kind, str(root / "base"))
    for ref in adapted:
        scored = scores(skeleton.model(ref), [Encoded("a", ids[:3], ids[3:])], token_budget=64)
        assert scored.logprob == pytest.approx(in_memory[kind, ref.checkpoint.step], abs=1e-4), ref.checkpoint.name
    scored = scores(skeleton.model(base), [Encoded("a", IDS[:3], IDS[3:])], token_budget=64)
    plain = AutoModelForCausalLM.from_pretrained(root / "base")
    assert scored.logprob == pytest.approx(plain_logprobs(plain, IDS)[2:].numpy(), abs=1e-4), "the base, after them"


VISION_LANGUAGE = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "mistral3", "llava"]
TARGETS = {
    "some": {"target_modules": ["q_proj", "v_proj"]},
    "text side": {"target_modules": r".*language_model.*\.(q_proj|up_proj)"},
    "all-linear": {"target_modules": "all-linear"},
    "saved output layer": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
}


def compare_lora_of_vision_language(model_type, targets, folder):
    """Raise where an adapter on a vision-language base is not scored and completed on text as it was in memory."""
    base, run = folder / "base", folder / "run"
    tiny(model_type).save_pretrained(base)
    prompts, expected = [[5, 6, 7, 8], [11, 12, 13]], {}
    for step in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(step)
            loaded = auto_class(str(base)).from_pretrained(base)
            model = get_peft_model(loaded, LoraConfig(r=2, task_type="CAUSAL_LM", **TARGETS[targets])).eval()
            for parameter in model.parameters():
                if parameter.requires_grad:
                    torch.nn.init.normal_(parameter, std=0.3)
        expected[step] = plain_logprobs(model, IDS)[2:].numpy(), [generated(model, prompt) for prompt in prompts]
        model.save_pretrained(run / f"checkpoint-{step}")
    assert abs(expected[1][0] - expected[2][0]).max() > 0.01
    skeleton = Skeleton(str(base))
    for ref in find_checkpoints(run, str(base)):
        if step := ref.checkpoint.step:
            model = skeleton.model(ref)
            scored = scores(model, [Encoded("a", IDS[:3], IDS[3:])], token_budget=64)
            assert scored.logprob == pytest.approx(expected[step][0], abs=1e-4)
            batch = PromptBatch(prompts, ["a", "b"], Decoding(max_new_tokens=LONGEST), (EOS,))
            completed = {c.prompt: c.token_ids for c in completions(model, batch, token_budget=64)}
            assert [completed[0], completed[1]] == expected[step][1]


def test_lora_of_a_vision_language_model_is_audited_on_text(tmp_path):
    compare_lora_of_vision_language("qwen2_vl", "text side", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("model_type", VISION_LANGUAGE)
def test_lora_of_every_vision_language_model(model_type, targets, tmp_path):
    compare_lora_of_vision_language(model_type, targets, tmp_path)
