"""Scores and completions from one prefill: the same as each alone, and every prompt is read once."""

import numpy as np
import pytest
from small_models import SIZES, grouped, made
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
)

from overmem.encoding import Encoded
from overmem.models.discovery import base_path
from overmem.observe.completions import complete
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.observe.shared_prefill import score_and_sample, supports_shared_prefill
from overmem.records import Example

LENGTHS = ((9, 4), (3, 1), (1, 12), (12, 2), (5, 5), (5, 30), (2, 3), (20, 7), (8, 1))
COLUMNS = ("logprob", "entropy", "top1_logprob", "std_logprob", "mean_logprob", "tempered_nll")


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=60, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.5)
    )


@pytest.fixture(params=[grouped, gpt2], ids=lambda kind: kind.__name__)
def model(request):
    return made(request.param)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(base_path("pebble"))


def split_of(lengths):
    encoded = tuple(
        Encoded(str(i), tuple(5 + (7 * i + j) % 50 for j in range(p)), tuple(6 + (5 * i + j) % 50 for j in range(s)))
        for i, (p, s) in enumerate(lengths)
    )
    return Split("val", tuple(Example(e.example_id, "?", "1", "1") for e in encoded), encoded, "")


def on(model, token_budget):
    return HuggingFace(EngineSettings(token_budget=token_budget), model)


@pytest.mark.parametrize("budget", [1, 60, 200, 4096])
@pytest.mark.parametrize("draws", [0, 2])
def test_scores_and_samples_from_one_prefill_are_those_of_each_alone(model, tokenizer, budget, draws):
    split, decoding = split_of(LENGTHS), Decoding(draws, max_new_tokens=16, seed=3)
    done = []
    scored, drawn = score_and_sample(on(model, budget), model, tokenizer, split, decoding, budget, Hooks(done.append))
    alone = scores(model, split.encoded, token_budget=4096)
    assert sum(done) == len(LENGTHS)
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(scored, name), getattr(alone, name), rtol=1e-4, atol=2e-5, err_msg=name)
    for name in ("example_ids", "offsets", "token_id", "is_argmax"):
        np.testing.assert_array_equal(getattr(scored, name), getattr(alone, name), err_msg=name)
    completed = complete(on(model, 4096), model, tokenizer, split, decoding)
    assert (drawn.text, drawn.stop) == (completed.text, completed.stop)
    np.testing.assert_array_equal(drawn.draw, completed.draw)
    np.testing.assert_allclose(drawn.logprob, completed.logprob, rtol=1e-4, atol=1e-4)


def test_every_prompt_is_read_once(tokenizer):
    model, split = made(grouped), split_of(LENGTHS)
    tokens = []
    model.model.register_forward_pre_hook(
        lambda _, __, given: tokens.append(int(given["input_ids"].numel())), with_kwargs=True
    )
    score_and_sample(on(model, 1), model, tokenizer, split, Decoding(max_new_tokens=1), 1)
    prompts, solutions = (sum(pair[i] for pair in LENGTHS) for i in (0, 1))
    assert sum(tokens) == prompts + solutions - len(LENGTHS)  # the last token of a solution predicts nothing


def test_a_model_that_forgets_tokens_shares_no_prefill():
    engine = on(None, 1)
    assert supports_shared_prefill(engine, made(grouped))
    sliding = made(lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6)))
    assert not supports_shared_prefill(engine, sliding)


def test_an_engine_that_does_not_offer_its_prefill_shares_none():
    engine = on(None, 1)
    engine.shares_prefill = False
    assert not supports_shared_prefill(engine, made(grouped))


def test_an_empty_split_gives_no_observations(tokenizer):
    model = made(grouped)
    scored, drawn = score_and_sample(on(model, 4096), model, tokenizer, split_of(()), Decoding(), 4096)
    assert (scored.example_ids, drawn.text) == ((), ())
