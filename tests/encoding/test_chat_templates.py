"""Chat templates in the styles of real models: the tokens of a reply, and the token that ends it."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from overmem.encoding import completion_text, encode, end_ids, end_token, prompt_text
from overmem.observe.completions import stop_ids
from overmem.records import Example

EXAMPLE = Example("a", "Ann has 3 apples, buys 4. How many?", "3 + 4 = 7.\n\nSo she has 7.\n#### 7", "7")
PEBBLE = Path(__file__).parents[2] / "src" / "overmem" / "assets" / "pebble"

CHATML = (
    "{%- if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe helpful.<|im_end|>\n' }}{% endif %}"
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + THINK + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' + OPEN }}{% endif %}"
)
QWEN25 = CHATML.replace("THINK", "''").replace("OPEN", "''")
QWEN3 = CHATML.replace("THINK", "('<think>\n\n</think>\n\n' if m.role == 'assistant' and loop.last else '')").replace(
    "OPEN", "''"
)
REASONER = CHATML.replace("THINK", "''").replace("OPEN", "'<think>\n'")
LLAMA3 = (
    "{% for m in messages %}{{ '<|begin_of_text|>' if loop.first }}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
BARE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    "{{ 'assistant: ' * add_generation_prompt }}"
)

IM = ["<|im_start|>", "<|im_end|>"]
STYLES: dict[str, tuple[str, str, list[str], str]] = {
    "Qwen2.5": (QWEN25, "<|endoftext|>", IM, "<|im_end|>"),
    "SmolLM2": (QWEN25, "<|im_end|>", IM, "<|im_end|>"),
    "Qwen3": (QWEN3, "<|endoftext|>", IM, "<|im_end|>"),
    "reasoner": (REASONER, "<|endoftext|>", IM, "<|im_end|>"),
    "Llama-3": (LLAMA3, "<|end_of_text|>", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], "<|eot_id|>"),
    "Gemma": (GEMMA, "<eos>", ["<start_of_turn>", "<end_of_turn>"], "<end_of_turn>"),
    "Phi-3": (PHI3, "<|endoftext|>", ["<|user|>", "<|assistant|>", "<|end|>"], "<|end|>"),
    "bare": (BARE, "</s>", [], "</s>"),
}
"""Name -> chat template, eos, other special tokens, and the token that ends a reply."""
CONTINUES_PROMPT = [name for name in STYLES if name not in ("reasoner", "bare")]
"""Styles whose rendered conversation starts with the generation prompt."""


def tokenizer_of_style(name: str) -> Any:
    template, eos, special, _ = STYLES[name]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator([EXAMPLE.question, EXAMPLE.solution], trainer)
    # The tokens around thoughts are not special, and Gemma has line breaks as added tokens.
    bpe.add_tokens([AddedToken(text, special=False) for text in ("<think>", "</think>", "\n", "\n\n")])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<bos>",
        eos_token=eos,
        additional_special_tokens=["<|begin_of_text|>", *special],
    )
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("name", STYLES)
def test_the_token_that_the_template_writes_after_a_reply_ends_it_and_stops_completions(name: str) -> None:
    tok = tokenizer_of_style(name)
    end = tok.convert_tokens_to_ids(STYLES[name][3])
    assert end_token(tok) == end
    assert end_ids(tok) == {end, tok.eos_token_id}
    assert stop_ids(None, tok) == sorted({end, tok.eos_token_id})
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.solution_ids[-1] == end
    assert encoded.solution_ids.count(end) == 1
    assert EXAMPLE.solution in completion_text(tok, encoded.solution_ids)


@pytest.mark.parametrize("name", CONTINUES_PROMPT)
def test_prompt_and_reply_are_the_tokens_of_the_rendered_conversation(name: str) -> None:
    tok = tokenizer_of_style(name)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    turns = [{"role": "user", "content": EXAMPLE.question}, {"role": "assistant", "content": EXAMPLE.solution}]
    conversation_ids = tok(tok.apply_chat_template(turns, tokenize=False), add_special_tokens=False)["input_ids"]
    assert list(encoded.input_ids) == conversation_ids[: len(encoded.input_ids)]
    assert tok.decode(encoded.prompt_ids) == prompt_text(tok, EXAMPLE.question)


def test_a_reply_that_does_not_continue_the_prompt_is_the_bare_solution_and_the_templates_end_token() -> None:
    tok = tokenizer_of_style("reasoner")
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.solution_ids) == f"{EXAMPLE.solution}<|im_end|>"


def test_text_that_a_template_writes_before_a_reply_is_part_of_the_reply() -> None:
    tok = tokenizer_of_style("Qwen3")
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.solution_ids) == f"<think>\n\n</think>\n\n{EXAMPLE.solution}<|im_end|>"


def test_with_a_user_defined_template_a_solution_ends_in_the_eos() -> None:
    tok = tokenizer_of_style("Qwen2.5")
    encoded = encode(tok, EXAMPLE, template="Q: {question}\nA:")
    assert encoded is not None
    assert end_token(tok, "Q: {question}\nA:") == encoded.solution_ids[-1] == tok.eos_token_id


def test_if_a_turn_ends_in_the_eos_the_tokens_equal_those_written_by_hand() -> None:
    tok = tokenizer_of_style("SmolLM2")
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    prompt = f"<|im_start|>system\nBe helpful.<|im_end|>\n<|im_start|>user\n{EXAMPLE.question}<|im_end|>\n"
    ids = [tuple(tok(text)["input_ids"]) for text in (f"{prompt}<|im_start|>assistant\n", EXAMPLE.solution)]
    assert (encoded.prompt_ids, encoded.solution_ids) == (ids[0], (*ids[1], tok.eos_token_id))


def test_a_tokenizer_without_a_template_ends_a_solution_in_its_eos() -> None:
    tok = AutoTokenizer.from_pretrained(PEBBLE)
    assert tok.chat_template is None
    assert end_token(tok) == tok.eos_token_id
    assert end_ids(tok) == {tok.eos_token_id}


def test_a_changed_template_has_another_end_token() -> None:
    tok = tokenizer_of_style("Qwen2.5")
    assert tok.decode([end_token(tok)]) == "<|im_end|>"
    tok.chat_template = BARE
    assert tok.decode([end_token(tok)]) == "<|endoftext|>"


@pytest.mark.parametrize("style", ["Qwen2.5", "Qwen3", "Gemma"])
def test_a_solution_that_contains_the_end_token_is_not_truncated_there(style: str) -> None:
    tok = tokenizer_of_style(style)
    sentence = f"It writes {STYLES[style][3]} and stops.\n#### 7"
    encoded = encode(tok, Example("a", "How?", sentence, "7"))
    assert encoded is not None
    assert tok.decode(encoded.solution_ids).endswith(f"{sentence}{STYLES[style][3]}")


def test_the_leading_space_of_sentencepiece_is_not_added_to_a_reply() -> None:
    bpe = Tokenizer(models.BPE(byte_fallback=False, unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    bpe.decoder = decoders.Metaspace(prepend_scheme="first")
    words = [EXAMPLE.question, EXAMPLE.solution, "<|user|> <|assistant|>"]
    bpe.train_from_iterator(words, trainers.BpeTrainer(special_tokens=["<unk>"], show_progress=False))
    tok = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>", unk_token="<unk>")
    tok.chat_template = ZEPHYR
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.convert_ids_to_tokens(list(encoded.solution_ids))[0][0] != "▁"
    assert encoded.solution_ids[-1] == tok.eos_token_id
