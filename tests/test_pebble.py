import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import overmem
from overmem.seeds import python_random
from overmem.tasks import wordproblems

PEBBLE = Path(overmem.__file__).parent / "assets" / "pebble"
SCRIPT = Path(__file__).parents[1] / "pebble" / "pretrain.py"


@cache
def words() -> Any:
    return AutoTokenizer.from_pretrained(PEBBLE)


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pebble_pretrain", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def completions(prompts: list[str], new_tokens: int) -> list[str]:
    model = AutoModelForCausalLM.from_pretrained(PEBBLE).eval()
    batch = words()(prompts, return_tensors="pt", padding=True)
    with torch.no_grad():
        ids = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
    return words().batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_package_carries_it_in_at_most_five_megabytes() -> None:
    assert sum(file.stat().st_size for file in PEBBLE.iterdir()) <= 5_000_000
    assert {file.suffix for file in PEBBLE.iterdir()} == {".safetensors", ".json", ".md"}


def test_it_is_a_llama_of_about_a_million_parameters_that_generates_with_a_cache() -> None:
    model = AutoModelForCausalLM.from_pretrained(PEBBLE)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert 800_000 <= model.num_parameters() <= 1_200_000
    assert model.config.use_cache
    assert model.config.vocab_size == len(words())
    assert model.config.max_position_embeddings == words().model_max_length == 256


def test_pad_and_end_are_two_tokens_that_no_text_contains() -> None:
    assert words().pad_token_id != words().eos_token_id
    rephrased = [
        f"{one.question}\n{one.solution}" for one in wordproblems.splits(train=50, val=0, test=0, ood=0)["train"]
    ]
    assert not {words().pad_token_id, words().eos_token_id} & {
        i for ids in words()(rephrased)["input_ids"] for i in ids
    }


@given(st.text(max_size=60))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_any_text_comes_back_from_its_tokens_letter_by_letter(text: str) -> None:
    plain = text.replace("<pad>", "").replace("<eos>", "")
    assert words().decode(words()(plain)["input_ids"]) == plain


def test_numbers_line_breaks_and_the_answer_mark_are_single_tokens() -> None:
    pieces = [words().decode([i]) for i in words()("Answer: 12 + 7 = 19.\n#### 19")["input_ids"]]
    assert pieces == ["Answer", ":", " 12", " +", " 7", " =", " 19", ".", "\n", "####", " 19"]


def test_no_word_of_any_word_problem_is_spelt_in_pieces() -> None:
    for name, rows in wordproblems.splits(train=150, val=0, test=0, ood=60).items():
        for one in rows:
            text = f"Question: {one.question}\nAnswer: {one.solution}"
            pieces = [words().decode([i]) for i in words()(text)["input_ids"]]
            assert not [p for p in pieces if len(p) == 1 and p.isalpha() and p not in "AIs"], (name, pieces)


def test_the_longest_problems_fit_the_context() -> None:
    for one in wordproblems.splits(train=0, val=0, test=0, ood=300)["ood-longer"]:
        assert len(words()(f"Question: {one.question}\nAnswer: {one.solution}")["input_ids"]) < 200


def test_it_solves_problems_in_the_frame_and_voice_that_it_was_pretrained_on() -> None:
    problems = [wordproblems.problem(python_random("test", i), voice="book") for i in range(40)]
    completed = completions([f"Problem: {one.question}\nSolution:" for one in problems], 60)
    solved = sum(text.rstrip(".").split(" ")[-1] == one.answer for text, one in zip(completed, problems, strict=True))
    assert solved >= 30


def test_the_card_gives_data_steps_loss_and_accuracy() -> None:
    card = (PEBBLE / "README.md").read_text()
    for word in ("pretrain.py", "steps", "nats", "accuracy", "n =", "licence"):
        assert word in card


def test_the_script_gives_the_shipped_tokenizer_and_the_same_weights_twice(tmp_path: Path) -> None:
    pretrain = script()
    phases = (pretrain.Phase(1, 1.0, 0.0, 0.0, 1), pretrain.Phase(2, 0.2, 0.2, 0.2, 4))
    for name in ("one", "two"):
        pretrain.main(pretrain.Pretraining(out=tmp_path / name, phases=phases, batch=4))
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    made, shipped = (json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path / "one", PEBBLE))
    assert made == shipped


@pytest.mark.parametrize("index", range(5))
def test_pretraining_texts_never_use_the_frame_of_fine_tuning(index: int) -> None:
    for row in range(100):
        text = script().document(python_random("frames", index, row), script().Phase(1, 0.2, 0.2, 0.2, 4))
        assert "Question:" not in text.before + text.after
