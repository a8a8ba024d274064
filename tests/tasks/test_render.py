import subprocess
import sys
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from overmem.errors import BadRequest
from overmem.records import Example
from overmem.tasks.render import IGNORED, completion_text, encode, prompt_ids, prompt_text

EXAMPLE = Example("a", "Ann has 3 apples, buys 4. How many?", "  3 + 4 = 7.\nSo she has 7.\n#### 7\n", "7")
CHAT = (
    "{% for m in messages %}<user>{{ m['content'] }}<end>{% endfor %}{% if add_generation_prompt %}<model>{% endif %}"
)


def tokenizer(*, adds_bos: bool = False, eos: bool = True, chat: bool = False) -> Any:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<user>", "<end>", "<model>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator([EXAMPLE.question, EXAMPLE.solution, "Question: Answer:"], trainer)
    if adds_bos:
        trained.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        bos_token="<s>" if adds_bos else None,
        eos_token="</s>" if eos else None,
        additional_special_tokens=["<user>", "<end>", "<model>"],
    )
    made.chat_template = CHAT if chat else None
    return made


ALL = [
    {"adds_bos": bos, "eos": eos, "chat": chat}
    for bos in (False, True)
    for eos in (False, True)
    for chat in (False, True)
]


@pytest.mark.parametrize("options", ALL)
def test_a_rendered_solution_reads_back_as_it_was(options: dict[str, bool]) -> None:
    tok = tokenizer(**options)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert completion_text(tok, encoded.solution_ids) == EXAMPLE.solution.strip()


@pytest.mark.parametrize("options", ALL)
def test_the_prompt_that_is_scored_is_the_prompt_that_is_completed(options: dict[str, bool]) -> None:
    tok = tokenizer(**options)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.prompt_ids == prompt_ids(tok, EXAMPLE.question)
    assert encoded.input_ids[: len(encoded.prompt_ids)] == encoded.prompt_ids


@pytest.mark.parametrize("options", ALL)
def test_only_solution_tokens_are_labels(options: dict[str, bool]) -> None:
    encoded = encode(tokenizer(**options), EXAMPLE)
    assert encoded is not None
    assert len(encoded.labels) == len(encoded.input_ids)
    assert set(encoded.labels[: len(encoded.prompt_ids)]) == {IGNORED}
    assert encoded.labels[len(encoded.prompt_ids) :] == encoded.solution_ids


def test_a_tokenizer_without_a_chat_template_gets_the_plain_one_and_one_space() -> None:
    tok = tokenizer()
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert tok.decode(encoded.input_ids) == f"Question: {EXAMPLE.question}\nAnswer: {EXAMPLE.solution.strip()}</s>"


def test_a_chat_template_is_used_with_its_generation_prompt() -> None:
    tok = tokenizer(chat=True)
    assert prompt_text(tok, "Why?") == "<user>Why?<end><model>"
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    # No space after <model>: that is where the chat model begins to write.
    assert tok.decode(encoded.solution_ids) == f"{EXAMPLE.solution.strip()}</s>"


def test_a_template_of_ones_own_wins_and_needs_a_place_for_the_question() -> None:
    tok = tokenizer(chat=True)
    assert prompt_text(tok, "Why {not}?", "Q: {question}\nA:") == "Q: Why {not}?\nA:"
    with pytest.raises(BadRequest, match="has no place for the question"):
        prompt_text(tok, "Why?", "Q: {}")


@pytest.mark.parametrize("chat", [False, True])
def test_there_is_one_bos_where_the_tokenizer_adds_one_to_plain_text(chat: bool) -> None:
    tok = tokenizer(adds_bos=True, chat=chat)
    encoded = encode(tok, EXAMPLE)
    assert encoded is not None
    assert encoded.input_ids.count(0) == (0 if chat else 1)
    assert encode(tok, EXAMPLE, template="<s>{question}\n").input_ids.count(0) == 1  # type: ignore[union-attr]
    assert 0 not in encode(tokenizer(), EXAMPLE).input_ids  # type: ignore[union-attr]


def test_a_solution_ends_in_one_eos_where_there_is_one() -> None:
    assert encode(tokenizer(), EXAMPLE).solution_ids.count(1) == 1  # type: ignore[union-attr]
    assert 1 not in encode(tokenizer(eos=False), EXAMPLE).solution_ids  # type: ignore[union-attr]


def test_what_does_not_fit_is_none_and_what_just_fits_is_whole() -> None:
    tok = tokenizer()
    whole = encode(tok, EXAMPLE)
    assert whole is not None
    assert encode(tok, EXAMPLE, max_length=len(whole.input_ids)) == whole
    assert encode(tok, EXAMPLE, max_length=len(whole.input_ids) - 1) is None


def test_rendering_imports_no_torch() -> None:
    heavy = {"torch", "transformers", "datasets", "sympy"}
    code = f"import sys, overmem.tasks, overmem.tasks.render; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
