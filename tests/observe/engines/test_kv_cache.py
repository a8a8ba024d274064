"""Rows that come and go while others are under way: the completions are those of each prompt alone."""

import pytest
import torch
import transformers
from small_models import SIZES, grouped, made
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Lfm2Config,
    Lfm2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from overmem.models.discovery import base_path
from overmem.observe.engines.decoding import Decoding, Hooks, PromptBatch
from overmem.observe.engines.hf import completions
from overmem.observe.engines.kv_cache import BatchKVCache, SlotKVCache, make_cache
from overmem.tasks.wordproblems import splits as wordproblems

STOPS = (2, 3, 4, 40)
PROMPTS = [[5 + (7 * i + j) % 50 for j in range(length)] for i, length in enumerate((9, 3, 1, 12, 5, 5, 2, 20, 8))]
NAMES = [f"val {i}" for i in range(len(PROMPTS))]
LIMIT = 24


def sliding():
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6))


def mixed():
    """A layer that sees all and a layer that sees five tokens."""
    kinds = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=5, layer_types=kinds, tie_word_embeddings=False)
    )


def recurrent():
    return Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]))


@pytest.fixture(params=[grouped, sliding, mixed], ids=lambda kind: kind.__name__)
def model(request):
    return made(request.param)


def drawn(model, decoding, budget, prompts=PROMPTS, names=NAMES, stop_ids=STOPS, **hooks):
    batch = PromptBatch(prompts, names, decoding, stop_ids)
    completed = completions(model, batch, token_budget=budget, hooks=Hooks(**hooks))
    return sorted(completed, key=lambda c: (c.prompt, c.draw))


def generated(model, prompt, limit, stops=STOPS):
    ids = torch.tensor([prompt])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, eos_token_id=list(stops),
        pad_token_id=0,
    )[0, ids.shape[1] :].tolist()  # fmt: skip
    return tuple(out[:-1]) if out[-1] in stops else tuple(out)


@pytest.mark.parametrize("budget", [1, 100, 180, 4096])
def test_greedy_completions_are_those_of_generate_however_many_rows_there_is_room_for(model, budget):
    completed = drawn(model, Decoding(max_new_tokens=LIMIT), budget)
    assert [c.token_ids for c in completed] == [generated(model, p, LIMIT) for p in PROMPTS]
    assert len({len(c.token_ids) for c in completed}) > 1


def test_greedy_completions_of_pebble_are_those_of_generate():
    path = base_path("pebble")
    pebble, tokenizer = AutoModelForCausalLM.from_pretrained(path).eval(), AutoTokenizer.from_pretrained(path)
    questions = [e.question for e in wordproblems(train=1, val=10, test=1, ood=0, seed=3)["val"]]
    prompts = [tokenizer(f"Question: {q}\nAnswer:")["input_ids"] for q in questions]
    stops = (tokenizer.eos_token_id,)
    completed = drawn(pebble, Decoding(max_new_tokens=40), 500, prompts, questions, stop_ids=stops)
    assert [c.token_ids for c in completed] == [generated(pebble, p, 40, stops) for p in prompts]


@pytest.mark.parametrize("budget", [1, 400])
def test_draws_are_the_same_however_many_rows_there_is_room_for(model, budget):
    decoding = Decoding(draws=3, max_new_tokens=LIMIT, seed=5)
    some, all_at_once = drawn(model, decoding, budget), drawn(model, decoding, 10**6)
    assert [(c.token_ids, c.stop) for c in some] == [(c.token_ids, c.stop) for c in all_at_once]
    assert [c.logprob for c in some] == pytest.approx([c.logprob for c in all_at_once], abs=1e-3)


def test_a_model_with_states_that_are_not_keys_and_values_is_completed_in_batches():
    model = made(recurrent)
    assert isinstance(make_cache(model.config, 4, 32), BatchKVCache)
    one_by_one = drawn(model, Decoding(draws=2, max_new_tokens=LIMIT), 1)
    together = drawn(model, Decoding(draws=2, max_new_tokens=LIMIT), 300)
    assert [c.token_ids for c in together] == [c.token_ids for c in one_by_one]
    assert [c.token_ids for c in together if not c.draw] == [generated(model, p, LIMIT) for p in PROMPTS]


@pytest.mark.parametrize("kind", ["Mamba", "Mamba2"])
def test_completions_of_a_model_that_takes_its_state_as_cache_params_are_those_of_generate(kind):
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "initializer_range": 0.5}
    more = {"num_heads": 8, "head_dim": 8, "n_groups": 1} if kind == "Mamba2" else {}
    config = getattr(transformers, f"{kind}Config")(**sizes, **more)
    model = made(lambda: getattr(transformers, f"{kind}ForCausalLM")(config))
    completed = drawn(model, Decoding(max_new_tokens=LIMIT), 4096)
    assert [c.token_ids for c in completed] == [generated(model, p, LIMIT) for p in PROMPTS]
    assert len({len(c.token_ids) for c in completed}) > 1


def test_no_step_takes_new_memory_for_keys_and_values(model):
    cache = make_cache(model.config, 3, 16)
    assert isinstance(cache, SlotKVCache)
    states = torch.randn(3, 2, 1, 8)
    cache.buffers[0].lazy_initialization(states, states)
    cache.window.rows, cache.window.end = 3, 4
    at = cache.buffers[0].keys.data_ptr()
    keys, _ = cache.buffers[0].update(states, states)
    assert keys.shape == (3, 2, 5, 8)
    assert keys.data_ptr() == cache.buffers[0].keys.data_ptr() == at
    torch.testing.assert_close(keys[:, :, -1:], states)


def test_the_last_row_takes_the_place_of_one_that_leaves():
    cache = SlotKVCache(1, 4, 8)
    states = torch.arange(4.0)[:, None, None, None].expand(4, 1, 3, 1)
    cache.window.rows, cache.window.end = 4, 3
    cache.buffers[0].lazy_initialization(states, states)
    cache.buffers[0].keys[:, :, :3] = states
    assert cache.keep([1, 3], 2) == [3, 1]
    assert cache.buffers[0].keys[:2, 0, 2, 0].tolist() == [3.0, 1.0]
    assert (cache.window.rows, cache.width) == (2, 2)


def test_every_prompt_is_reported_done_once_and_a_tick_can_stop_the_work(model):
    done = []
    drawn(model, Decoding(draws=1, max_new_tokens=LIMIT), 200, advance=done.append)
    assert sum(done) == len(PROMPTS)

    def tick():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        drawn(model, Decoding(), 200, tick=tick)
