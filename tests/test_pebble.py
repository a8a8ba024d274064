"""pebble, the embedded model: its files, its tokenizer, and the script that makes it."""

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
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(PEBBLE)


@cache
def pretrain_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pebble_pretrain", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def completions(prompts: list[str], new_tokens: int) -> list[str]:
    model = AutoModelForCausalLM.from_pretrained(PEBBLE).eval()
    batch = tokenizer()(prompts, return_tensors="pt", padding=True)
    with torch.no_grad():
        ids = model.generate(**batch, max_new_tokens=new_tokens, do_sample=False)
    return tokenizer().batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_model_in_the_package_is_at_most_five_megabytes() -> None:
    assert sum(file.stat().st_size for file in PEBBLE.iterdir()) <= 5_000_000
    assert {file.suffix for file in PEBBLE.iterdir()} == {".safetensors", ".json", ".md"}


def test_it_is_a_llama_of_about_a_million_parameters_that_generates_with_a_cache() -> None:
    model = AutoModelForCausalLM.from_pretrained(PEBBLE)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert 800_000 <= model.num_parameters() <= 1_200_000
    assert model.config.use_cache
    assert model.config.vocab_size == len(tokenizer())
    assert model.config.max_position_embeddings == tokenizer().model_max_length == 256


def test_pad_and_end_are_two_tokens_that_no_text_contains() -> None:
    assert tokenizer().pad_token_id != tokenizer().eos_token_id
    rephrased = [
        f"{problem.question}\n{problem.solution}"
        for problem in wordproblems.splits(train=50, val=0, test=0, ood=0)["train"]
    ]
    assert not {tokenizer().pad_token_id, tokenizer().eos_token_id} & {
        i for ids in tokenizer()(rephrased)["input_ids"] for i in ids
    }


@given(st.text(max_size=60))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_any_text_can_be_decoded_from_its_tokens_unchanged(text: str) -> None:
    plain = text.replace("<pad>", "").replace("<eos>", "")
    assert tokenizer().decode(tokenizer()(plain)["input_ids"]) == plain


def test_numbers_line_breaks_and_the_answer_mark_are_single_tokens() -> None:
    token_texts = [tokenizer().decode([i]) for i in tokenizer()("Answer: 12 + 7 = 19.\n#### 19")["input_ids"]]
    assert token_texts == ["Answer", ":", " 12", " +", " 7", " =", " 19", ".", "\n", "####", " 19"]


def test_every_word_of_a_word_problem_is_a_single_token() -> None:
    for name, rows in wordproblems.splits(train=150, val=0, test=0, ood=60).items():
        for problem in rows:
            text = f"Question: {problem.question}\nAnswer: {problem.solution}"
            token_texts = [tokenizer().decode([i]) for i in tokenizer()(text)["input_ids"]]
            assert not [p for p in token_texts if len(p) == 1 and p.isalpha() and p not in "AIs"], (name, token_texts)


def test_the_longest_problems_fit_the_context() -> None:
    for problem in wordproblems.splits(train=0, val=0, test=0, ood=300)["ood-longer"]:
        assert len(tokenizer()(f"Question: {problem.question}\nAnswer: {problem.solution}")["input_ids"]) < 200


def test_it_solves_problems_in_the_frame_and_voice_of_pretraining() -> None:
    problems = [wordproblems.problem(python_random("test", i), voice="book") for i in range(40)]
    completed = completions([f"Problem: {problem.question}\nSolution:" for problem in problems], 60)
    solved = sum(
        text.rstrip(".").split(" ")[-1] == problem.answer for text, problem in zip(completed, problems, strict=True)
    )
    assert solved >= 30


def test_the_model_card_states_data_steps_loss_and_accuracy() -> None:
    card = (PEBBLE / "README.md").read_text()
    for word in ("pretrain.py", "steps", "nats", "accuracy", "n =", "licence"):
        assert word in card


def test_the_script_reproduces_the_shipped_tokenizer_and_its_own_weights(tmp_path: Path) -> None:
    pretrain = pretrain_script()
    phases = (pretrain.Phase(1, 1.0, 0.0, 0.0, 1), pretrain.Phase(2, 0.2, 0.2, 0.2, 4))
    for name in ("one", "two"):
        pretrain.main(pretrain.Pretraining(out=tmp_path / name, phases=phases, batch=4))
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    trained, shipped = (json.loads((folder / "tokenizer.json").read_text()) for folder in (tmp_path / "one", PEBBLE))
    assert trained == shipped


@pytest.mark.parametrize("index", range(5))
def test_pretraining_texts_never_use_the_frame_of_fine_tuning(index: int) -> None:
    for row in range(100):
        text = pretrain_script().document(
            python_random("frames", index, row), pretrain_script().Phase(1, 0.2, 0.2, 0.2, 4)
        )
        assert "Question:" not in text.before + text.after
