"""Scores against the plain computation on full logits; completions against transformers' own generate."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from overmem.encoding import Encoded
from overmem.observe.engines.decoding import Decoding, PromptBatch, batches
from overmem.observe.engines.hf import completions
from overmem.observe.score import scores
from overmem.records import TEMPERATURES

PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [10], [7, 8], [3, 4, 4]]
NAMES = list("abcde")


def llama():
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.5)
    )


@pytest.fixture(params=[llama, gpt2], ids=["llama", "gpt2"])
def model(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param().eval()


def drawn(model, prompts, names, decoding, budget=4096, stop=(2, 3, 4)):
    completed = completions(model, PromptBatch(prompts, names, decoding, stop), token_budget=budget)
    return sorted(completed, key=lambda c: (c.prompt, c.draw))


def test_scores_are_those_of_full_logits_in_float64(model):
    encoded = [Encoded(str(i), tuple(p), tuple(range(11, 14 + i))) for i, p in enumerate(PROMPTS)]
    result = scores(model, encoded, token_budget=12)
    for i, one in enumerate(encoded):
        with torch.no_grad():
            logits = model(torch.tensor([one.input_ids])).logits[0].double()
        logits = logits[len(one.prompt_ids) - 1 : -1]
        logprobs = logits.log_softmax(-1)
        label = logprobs[range(len(one.solution_ids)), list(one.solution_ids)]
        here = slice(result.offsets[i], result.offsets[i + 1])
        mean = (logprobs.exp() * logprobs).sum(-1)
        sd = (logprobs.exp() * (logprobs - mean[:, None]) ** 2).sum(-1).sqrt()
        np.testing.assert_allclose(result.logprob[here], label, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(result.mean_logprob[here], mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(result.entropy[here], -mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(result.std_logprob[here], sd, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(result.top1_logprob[here], logprobs.max(-1).values, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(result.is_argmax[here], logprobs.argmax(-1).numpy() == np.array(one.solution_ids))
        np.testing.assert_array_equal(result.token_id[here], one.solution_ids)
        for t, temperature in enumerate(TEMPERATURES):
            cold = (logits / temperature).log_softmax(-1)[range(len(one.solution_ids)), list(one.solution_ids)]
            assert result.tempered_nll[i, t] == pytest.approx(-float(cold.sum()), rel=1e-3)
    np.testing.assert_allclose(result.nll_sums, result.tempered_nll[:, TEMPERATURES.index(1.0)], rtol=1e-4)


def test_no_example_gives_empty_scores(model):
    assert scores(model, [], token_budget=100).token_counts.shape == (0,)


def test_greedy_completions_are_those_of_generate(model):
    for index, one in enumerate(drawn(model, PROMPTS, NAMES, Decoding(max_new_tokens=20))):
        ids = torch.tensor([PROMPTS[index]])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False,
            eos_token_id=[2, 3, 4], pad_token_id=0,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        assert list(one.token_ids) == [t for t in out if t not in (2, 3, 4)]
        assert one.stop == ("eos" if out[-1] in (2, 3, 4) else "length")


def test_the_logprob_of_a_completion_is_its_teacher_forced_one(model):
    one = drawn(model, PROMPTS[:1], NAMES[:1], Decoding(max_new_tokens=6), stop=())[0]
    encoded = Encoded("x", tuple(PROMPTS[0]), one.token_ids)
    assert one.logprob == pytest.approx(float(scores(model, [encoded], token_budget=99).logprob.sum()), rel=1e-4)


def test_a_draw_does_not_depend_on_the_rest_of_the_batch(model):
    decoding = Decoding(draws=3, max_new_tokens=12, seed=7)
    together = drawn(model, PROMPTS, NAMES, decoding)
    for index in range(len(PROMPTS)):
        alone = drawn(model, [PROMPTS[index]], [NAMES[index]], decoding, budget=1)
        assert [c.token_ids for c in alone] == [c.token_ids for c in together if c.prompt == index]


def test_another_seed_or_example_changes_the_draws_and_not_greedy(model):
    first, second = (drawn(model, PROMPTS, NAMES, Decoding(draws=2, max_new_tokens=12, seed=s)) for s in (1, 2))
    assert [c.token_ids for c in first if not c.draw] == [c.token_ids for c in second if not c.draw]
    assert [c.token_ids for c in first if c.draw] != [c.token_ids for c in second if c.draw]
    assert [c.token_ids for c in first if c.draw == 1] != [c.token_ids for c in first if c.draw == 2]


def test_draws_follow_the_tempered_distribution(model):
    decoding = Decoding(draws=4000, temperatures=(0.7,), max_new_tokens=1)
    tokens = [c.token_ids[0] for c in drawn(model, PROMPTS[:1], NAMES[:1], decoding, stop=()) if c.draw]
    with torch.no_grad():
        expected = (model(torch.tensor([PROMPTS[0]])).logits[0, -1] / 0.7).softmax(-1).numpy()
    share = np.bincount(tokens, minlength=50) / len(tokens)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(tokens))


def test_draws_at_several_temperatures_are_those_of_each_and_the_greedy_one_is_made_once(model):
    both = Decoding(draws=2000, temperatures=(0.7, 1.5), max_new_tokens=1)
    result = sorted(drawn(model, PROMPTS[:1], NAMES[:1], both, stop=()), key=lambda c: c.draw)
    assert [c.draw for c in result] == list(range(4001))
    assert {both.temperature_of(d) for d in range(1, 2001)} == {0.7}
    assert (both.temperature_of(0), both.temperature_of(2001), both.temperature_of(4000)) == (0.0, 1.5, 1.5)
    alone = drawn(model, PROMPTS[:1], NAMES[:1], Decoding(2000, (0.7,), 1), stop=())
    assert [c.token_ids for c in result[:2001]] == [c.token_ids for c in sorted(alone, key=lambda c: c.draw)]
    tokens = [c.token_ids[0] for c in result[2001:]]
    with torch.no_grad():
        expected = (model(torch.tensor([PROMPTS[0]])).logits[0, -1] / 1.5).softmax(-1).numpy()
    share = np.bincount(tokens, minlength=50) / len(tokens)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(tokens))


def test_batches_keep_to_the_budget_and_contain_every_index_once():
    lengths = [5, 9, 1, 7, 30, 2]
    index_batches = batches(lengths, 2, 40)
    assert sorted(i for b in index_batches for i in b) == list(range(6))
    assert all(len(b) == 1 or len(b) * 2 * max(lengths[i] for i in b) <= 40 for b in index_batches)
