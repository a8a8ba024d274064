"""Encoding examples as prompt and solution tokens, with and without chat templates."""

import subprocess
import sys
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from overmem.encoding import (
    IGNORED,
    VERBATIM,
    completion_text,
    describe_prompt,
    encode,
    end_ids,
    prompt_ids,
    prompt_text,
)
from overmem.errors import BadRequest
from overmem.records import Example

EXAMPLE = Example("a", "Ann has 3 apples, buys 4. How many?", "  3 + 4 = 7.\nSo she has 7.\n#### 7\n", "7")
CHAT = (
    "{% for m in messages %}<user>{{ m['content'] }}<end>{% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)


TURNS_WITH_END = (
    "{%% for m in messages %%}{%% if m['role'] == 'user' %%}<user>{{ m['content'] }}<end>\n{%% else %%}"
    "<model>%s{{ m['content'] }}<end>\n{%% endif %%}{%% endfor %%}{%% if add_generation_prompt %%}<model>{%% endif %%}"
)
"""In the style of ChatML, Llama 3 and Gemma: a turn ends in its own token. %s is text before a reply."""


def tokenizer(*, adds_bos: bool = False, eos: bool = True, chat: bool = False) -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<user>", "<end>", "<model>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([EXAMPLE.question, EXAMPLE.solution, "Question: Answer:"], trainer)
    if adds_bos:
        bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    result = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>" if adds_bos else None,
        eos_token="</s>" if eos else None,
        additional_special_tokens=["<user>", "<end>", "<model>"],
    )
    result.chat_template = CHAT if chat else None
    return result


ALL_TOKENIZERS = [
    {"adds_bos": bos, "eos": eos, "chat": chat}
    for bos in (False, True)
    for eos in (False, True)
    for chat in (False, True)
]


@pytest.mark.parametrize("options", ALL_TOKENIZERS)
def test_a_decoded_solution_equals_the_original(options: dict[str, bool]) -> None:
    tok = tokenizer(**options)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert completion_text(tok, encoded.solution_ids) == EXAMPLE.solution.strip()


@pytest.mark.parametrize("options", ALL_TOKENIZERS)
def test_the_scored_prompt_equals_the_completed_prompt(options: dict[str, bool]) -> None:
    tok = tokenizer(**options)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.prompt_ids == prompt_ids(tok, EXAMPLE.question)
    assert encoded.input_ids[: len(encoded.prompt_ids)] == encoded.prompt_ids


@pytest.mark.parametrize("options", ALL_TOKENIZERS)
def test_only_solution_tokens_are_labels(options: dict[str, bool]) -> None:
    encoded = encode(tokenizer(**options), EXAMPLE)
    assert encoded is not None
    assert len(encoded.labels) == len(encoded.input_ids)
    assert set(encoded.labels[: len(encoded.prompt_ids)]) == {IGNORED}
    assert encoded.labels[len(encoded.prompt_ids) :] == encoded.solution_ids


def test_without_a_chat_template_the_plain_template_and_one_space_are_used() -> None:
    tok = tokenizer()
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.input_ids) == f"Question: {EXAMPLE.question}\nAnswer: {EXAMPLE.solution.strip()}</s>"


def test_a_chat_template_is_used_with_its_generation_prompt() -> None:
    tok = tokenizer(chat=True)
    assert prompt_text(tok, "Why?") == "<user>Why?<end><model>"
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    # No space after <model>, where the reply starts.
    assert tok.decode(encoded.solution_ids) == f"{EXAMPLE.solution.strip()}<end>"


@pytest.mark.parametrize("before", ["", "<think>\n\n</think>\n\n"])
def test_a_reply_is_rendered_by_the_template_up_to_the_token_that_ends_the_turn(before: str) -> None:
    tok = tokenizer(chat=True)
    tok.chat_template = TURNS_WITH_END % before
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.prompt_ids) == f"<user>{EXAMPLE.question}<end>\n<model>"
    assert tok.decode(encoded.solution_ids) == f"{before}{EXAMPLE.solution.strip()}<end>"
    assert end_ids(tok) == {tok.eos_token_id, tok.convert_tokens_to_ids("<end>")}


def test_nothing_is_appended_if_a_turn_ends_in_the_eos() -> None:
    tok = tokenizer(chat=True)
    tok.chat_template = TURNS_WITH_END % ""
    tok.eos_token = "<end>"
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.solution_ids == (*tok(EXAMPLE.solution.strip())["input_ids"], tok.eos_token_id)
    assert end_ids(tok) == {tok.eos_token_id}


@pytest.mark.parametrize("broken", ["{{ raise_exception('no') }}", "{{ messages[0]['content'] }}<model>"])
def test_the_bare_solution_follows_a_template_that_does_not_continue_its_prompt(broken: str) -> None:
    tok = tokenizer(chat=True)
    tok.chat_template = "{% if add_generation_prompt %}<user>{{ messages[0]['content'] }}<model>{% else %}" + (
        broken + "{% endif %}"
    )
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.solution_ids) == f"{EXAMPLE.solution.strip()}</s>"
    assert end_ids(tok) == {tok.eos_token_id}


def test_the_date_in_a_prompt_is_fixed() -> None:
    tok = tokenizer(chat=True)
    tok.chat_template = "{{ strftime_now('%d %b %Y') }}<user>{{ messages[0]['content'] }}<model>"
    assert prompt_text(tok, "Why?") == "26 Jul 2024<user>Why?<model>"


def test_a_backslash_n_in_a_template_is_a_line_break() -> None:
    assert prompt_text(tokenizer(), "Why?", r"Q: {question}\nA:") == "Q: Why?\nA:"
    assert prompt_text(tokenizer(), "Why?", "Q: {question}\nIs it \\neq 0?") == "Q: Why?\nIs it \\neq 0?"


def test_a_user_defined_template_takes_precedence_and_needs_a_place_for_the_question() -> None:
    tok = tokenizer(chat=True)
    assert prompt_text(tok, "Why {not}?", "Q: {question}\nA:") == "Q: Why {not}?\nA:"
    with pytest.raises(BadRequest, match="has no place for the question"):
        prompt_text(tok, "Why?", "Q: {}")


@pytest.mark.parametrize("chat", [False, True])
def test_there_is_one_bos_if_the_tokenizer_adds_one_to_plain_text(chat: bool) -> None:
    tok = tokenizer(adds_bos=True, chat=chat)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.input_ids.count(0) == (0 if chat else 1)
    assert encode(tok, EXAMPLE, template="<s>{question}\n").input_ids.count(0) == 1  # type: ignore[union-attr]
    assert 0 not in encode(tokenizer(), EXAMPLE).input_ids  # type: ignore[union-attr]


def test_a_solution_ends_in_one_eos_if_the_tokenizer_has_one() -> None:
    assert encode(tokenizer(), EXAMPLE).solution_ids.count(1) == 1  # type: ignore[union-attr]
    assert 1 not in encode(tokenizer(eos=False), EXAMPLE).solution_ids  # type: ignore[union-attr]


def test_an_example_longer_than_max_length_is_none() -> None:
    tok = tokenizer()
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encode(tok, EXAMPLE, max_length=len(encoded.input_ids)) == encoded
    assert encode(tok, EXAMPLE, max_length=len(encoded.input_ids) - 1) is None


def test_encoding_imports_no_torch() -> None:
    heavy = {"torch", "transformers", "datasets", "sympy"}
    code = f"import sys, overmem.tasks, overmem.encoding; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("prompt", "completion"), [("Q: 1+2?\nA:", " 3"), ("Q: 1+2?\nA:", "3"), ("def f():\n", "    return 3\n")]
)
def test_a_verbatim_template_encodes_exactly_prompt_and_completion(byte_tokenizer, prompt, completion):
    tokenizer = byte_tokenizer()
    encoded = encode(tokenizer, Example("a", prompt, completion, "3"), template=VERBATIM)
    assert tokenizer.decode(encoded.prompt_ids) == prompt
    assert tokenizer.decode(encoded.solution_ids) == completion + "<eos>"


def test_a_template_can_place_the_solution_and_add_text_after_it(byte_tokenizer):
    tokenizer = byte_tokenizer()
    encoded = encode(tokenizer, EXAMPLE, template="### {question}\n### {solution}\n###")
    assert tokenizer.decode(encoded.solution_ids) == EXAMPLE.solution + "\n###<eos>"


def test_describe_prompt_names_template_and_end_token(byte_tokenizer):
    tokenizer = byte_tokenizer()
    assert "nothing around them" in describe_prompt(tokenizer, VERBATIM)
    assert "'Question: {question}\\nAnswer:'" in describe_prompt(tokenizer, None)
    assert "end token '<eos>'" in describe_prompt(tokenizer, None)
