"""A merge in memory has the nll of the same merge written to disk and loaded by plain transformers or PEFT."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from overmem import store
from overmem.encoding import Encoded
from overmem.merging.options import Merge
from overmem.merging.unsaved import unsaved_merge
from overmem.merging.verb import merge
from overmem.models.discovery import find_checkpoints
from overmem.models.loading import Skeleton
from overmem.observe.score import scores
from tests.merging.made import random_llama, train
from tests.slow_params import slow_except

STEPS = (10, 20, 50)
NAMES = tuple(f"checkpoint-{step}" for step in STEPS)
ENCODED = [Encoded(str(i), tuple(range(1, 4 + i)), tuple(range(7 + i, 12 + 2 * i))) for i in range(4)]


def llama(seed: int, *, dtype: torch.dtype = torch.float32, **sizes: Any) -> LlamaForCausalLM:
    return random_llama(seed, **sizes).to(dtype)


def nll_sums(model: Any) -> np.ndarray:
    """The nll of every solution from the logits of a plain model."""
    sums = []
    for e in ENCODED:
        ids = torch.tensor([[*e.prompt_ids, *e.solution_ids]])
        with torch.no_grad():
            logprobs = model(input_ids=ids).logits[0].float().log_softmax(-1)
        start = len(e.prompt_ids)
        sums.append(-sum(float(logprobs[start - 1 + i, token]) for i, token in enumerate(e.solution_ids)))
    return np.array(sums)


def assert_observed_as_written(run: Path, base: Path, merges: list[dict[str, Any]], rtol: float = 2e-5) -> None:
    """Every merge, observed in memory one after the other in one skeleton, against its folder in plain libraries."""
    skeleton, refs = Skeleton(str(base)), find_checkpoints(run, str(base))
    observed = []
    for options in merges:
        with unsaved_merge(Merge(str(run), **options), store.open_run(run), refs) as weights:
            observed.append(scores(skeleton.model_of(weights), ENCODED, token_budget=512).nll_sums)
    assert not list(run.glob("*merged*"))
    for number, (options, in_memory) in enumerate(zip(merges, observed, strict=True)):
        folder = merge(Merge(str(run), **options, base=str(base), name=f"merged-{number}"))
        if (folder / "adapter_config.json").is_file():
            plain = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), folder).eval()
        else:
            plain = AutoModelForCausalLM.from_pretrained(folder).float().eval()
        np.testing.assert_allclose(in_memory, nll_sums(plain), rtol=rtol)
    assert len({round(float(sums.sum()), 4) for sums in observed}) == len(merges)
    np.testing.assert_allclose(  # a checkpoint that is loaded afterwards has its own weights
        scores(skeleton.model(refs[-1]), ENCODED, token_budget=512).nll_sums,
        scores(Skeleton(str(base)).model(refs[-1]), ENCODED, token_budget=512).nll_sums,
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        scores(skeleton.model(refs[0]), ENCODED, token_budget=512).nll_sums,
        scores(Skeleton(str(base)).model(refs[0]), ENCODED, token_budget=512).nll_sums,
        rtol=1e-6,
    )


MERGES: list[dict[str, Any]] = [
    {"checkpoints": NAMES, "weights": (0.2, 0.3, 0.5)},
    {"checkpoints": (NAMES[0], NAMES[2]), "weights": (1.25, -0.25)},
    {"checkpoints": ("base", NAMES[1]), "weights": (0.4, 0.6)},
]
FULL: dict[str, dict[str, Any]] = {
    "full": {},
    "tied": {"tie_word_embeddings": True},
    "bfloat16": {"dtype": torch.bfloat16},
    "sharded": {"shard": "20KB"},
    "grouped queries and biases": {"num_key_value_heads": 2, "attention_bias": True},
}


@pytest.mark.parametrize("kind", slow_except(["tied"], FULL))
def test_full_weights_are_observed_as_they_would_be_written(tmp_path: Path, kind: str) -> None:
    options = dict(FULL[kind])
    size = options.pop("shard", "5GB")
    llama(0, **options).save_pretrained(tmp_path / "base")
    for seed, name in enumerate(NAMES, start=1):
        llama(seed, **options).save_pretrained(tmp_path / "run" / name, max_shard_size=size)
    assert_observed_as_written(tmp_path / "run", tmp_path / "base", MERGES)


KINDS: dict[str, list[dict[str, Any]]] = {
    "lora": [{}] * 3,
    "rslora": [{"use_rslora": True}] * 3,
    "mixed ranks": [{"r": 2}, {"r": 6, "lora_alpha": 3}, {"r": 3, "use_rslora": True}],
    "dora": [{"use_dora": True}] * 3,
    "dora with mixed ranks": [{"use_dora": True, "r": r} for r in (2, 3, 4)],
    "modules_to_save": [{"modules_to_save": ["lm_head"]}] * 3,
    "biases": [{"bias": "lora_only", "target_modules": ["q_proj", "v_proj"]}] * 3,
    "an adapted embedding": [{"target_modules": ["embed_tokens", "v_proj"]}] * 3,
    "trained token rows": [{"trainable_token_indices": [3, 7]}] * 3,
    "pissa": [{"init_lora_weights": "pissa"}] * 3,
}


@pytest.mark.parametrize("kind", slow_except(["modules_to_save", "dora with mixed ranks"], KINDS))
def test_adapters_are_observed_as_they_would_be_written(tmp_path: Path, kind: str) -> None:
    llama(0, tie_word_embeddings=False, attention_bias=kind == "biases").save_pretrained(tmp_path / "base")
    for step, options in zip(STEPS, KINDS[kind], strict=True):
        train(tmp_path / "base", step, **options)
    assert_observed_as_written(tmp_path / "run", tmp_path / "base", MERGES, rtol=1e-4)
