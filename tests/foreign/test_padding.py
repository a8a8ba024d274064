"""The side on which a tokenizer pads changes nothing: scores and greedy completions are those of single sequences."""

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from overmem import store
from tests.foreign.conftest import conversation, plain_logprobs

ROWS = [{"messages": conversation(10**digits, 7, system=False)} for digits in (0, 3, 6, 9, 12)]
"""Prompts and replies of different lengths, so that every batch is padded."""


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", ["<|im_end|>", "<pad>"], ids=["EOS as PAD", "PAD"])
def test_scores_and_completions_equal_those_of_transformers(chat_base, audited, tmp_path, side, pad):
    model = AutoModelForCausalLM.from_pretrained(chat_base).eval()
    tokenizer = AutoTokenizer.from_pretrained(chat_base, padding_side=side, pad_token=pad)
    for folder in (tmp_path / "base", tmp_path / "run" / "checkpoint-4"):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(tmp_path / "base").padding_side == side
    run, examples, _ = audited(tmp_path / "run", ROWS, tmp_path / "base")
    scores, samples = (read(run, "checkpoint-4", "train") for read in (store.read_scores, store.read_samples))
    replies = dict(zip(samples.example_ids, samples.text, strict=True))
    assert len(examples) == len(ROWS)
    assert len(set(scores.offsets[1:] - scores.offsets[:-1])) == len(ROWS)
    for i, identity in enumerate(scores.example_ids):
        turns = [{"role": "user", "content": examples[identity].question}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")
        start, solution = prompt["input_ids"].shape[1], scores.token_id[scores.offsets[i] : scores.offsets[i + 1]]
        alone = plain_logprobs(model, [*prompt["input_ids"][0].tolist(), *solution.tolist()])[start - 1 :]
        assert scores.logprob[scores.offsets[i] : scores.offsets[i + 1]] == pytest.approx(alone.numpy(), abs=1e-4)
        made = model.generate(**prompt, max_new_tokens=12, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        assert replies[identity] == tokenizer.decode(made[0, start:], skip_special_tokens=True).strip()
