"""Runs of TRL's SFTTrainer: what is scored equals plain transformers on the tokens that TRL's collator trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from overmem import store
from tests.foreign.conftest import collated, conversation, plain_logprobs

pytestmark = pytest.mark.slow
trl = pytest.importorskip("trl")

PAIRS = [(a, b) for a in range(4) for b in range(3)]
CONVERSATIONS = [{"messages": conversation(a, b)} for a, b in PAIRS]
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}


def trained(rows, base, tokenizer, root, *, lora=None, **arguments):
    """A run of four steps with two checkpoints, and the trainer."""
    trainer = trl.SFTTrainer(
        model=str(base) if isinstance(base, Path) else base,
        args=trl.SFTConfig(
            str(root), max_steps=4, save_steps=2, per_device_train_batch_size=4, report_to="none", disable_tqdm=True,
            learning_rate=1e-2, use_cpu=True, bf16=False, max_length=400, seed=0, **arguments,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=None if lora is None else LoraConfig(**(LORA | lora)),
    )  # fmt: skip
    trainer.train()
    return trainer


def loaded(root, base, *, adapter):
    folder = str(root / "checkpoint-4")
    model = AutoModelForCausalLM.from_pretrained(str(base) if adapter else folder, dtype=torch.float32)
    return (PeftModel.from_pretrained(model, folder) if adapter else model).eval()


def check(run, examples, trainer, model, *, trailing=(10,)):
    """Every scored solution is a trained stretch of some row, with the log probabilities of plain transformers.

    `trailing`: tokens that the template writes after the end of a turn, trained by TRL and no part of the reply.
    """
    scores = store.read_scores(run, "checkpoint-4", "train")
    places = {}
    for row in collated(trainer):
        for start, ids in row.spans():
            while ids and ids[-1] in trailing:
                ids = ids[:-1]
            places.setdefault(ids, []).append((row.input_ids, start))
    assert len(scores.example_ids) == len(examples) > 0
    for i, _ in enumerate(scores.example_ids):
        a, b = scores.offsets[i], scores.offsets[i + 1]
        ids = tuple(scores.token_id[a:b].tolist())
        assert ids in places, "what is scored is not what was trained"
        expected = [
            plain_logprobs(model, whole[: start + len(ids)])[start - 1 :].numpy() for whole, start in places[ids]
        ]
        closest = min(float(np.abs(e - scores.logprob[a:b]).max()) for e in expected)
        assert closest < 1e-4


def newline(tokenizer):
    return tuple(tokenizer("\n", add_special_tokens=False)["input_ids"])


def test_assistant_only_with_system_prompts(chat_base, chat_tokenizer, audited, tmp_path):
    tokenizer = chat_tokenizer()
    trainer = trained(CONVERSATIONS, chat_base, tokenizer, tmp_path / "run", assistant_only_loss=True)
    run, examples, lines = audited(tmp_path / "run", CONVERSATIONS, chat_base)
    assert any("12 examples with their own system turn" in line for line in lines)
    check(run, examples, trainer, loaded(tmp_path / "run", chat_base, adapter=False), trailing=newline(tokenizer))


def test_every_reply_of_two_rounds(chat_base, chat_tokenizer, audited, tmp_path):
    rows, tokenizer = [{"messages": conversation(a, b, rounds=2)} for a, b in PAIRS], chat_tokenizer()
    trainer = trained(rows, chat_base, tokenizer, tmp_path / "run", assistant_only_loss=True)
    run, examples, _ = audited(tmp_path / "run", rows, chat_base, data="replies: each\n")
    assert len(examples) == 24
    check(run, examples, trainer, loaded(tmp_path / "run", chat_base, adapter=False), trailing=newline(tokenizer))


def test_conversational_prompts_and_completions(chat_base, chat_tokenizer, audited, tmp_path):
    tokenizer = chat_tokenizer()
    rows = [{"prompt": r["messages"][:-1], "completion": r["messages"][-1:]} for r in CONVERSATIONS]
    trainer = trained(rows, chat_base, tokenizer, tmp_path / "run")
    run, examples, _ = audited(tmp_path / "run", rows, chat_base)
    check(run, examples, trainer, loaded(tmp_path / "run", chat_base, adapter=False), trailing=newline(tokenizer))


@pytest.mark.parametrize(
    "lora",
    [{"modules_to_save": ["embed_tokens", "lm_head"]}, {"trainable_token_indices": [256, 257]}, {"use_dora": True}],
    ids=["saved modules", "trainable tokens", "dora"],
)
def test_adapters_with_more_than_two_matrices(chat_base, chat_tokenizer, audited, tmp_path, lora):
    tokenizer = chat_tokenizer()
    trainer = trained(CONVERSATIONS, chat_base, tokenizer, tmp_path / "run", lora=lora, assistant_only_loss=True)
    run, examples, _ = audited(tmp_path / "run", CONVERSATIONS, chat_base)
    check(run, examples, trainer, loaded(tmp_path / "run", chat_base, adapter=True), trailing=newline(tokenizer))


def test_tokens_added_to_a_base_that_lacks_them(chat_base, chat_tokenizer, audited, tmp_path):
    """As ChatML runs do: tokens are added, the embeddings resized and LoRA trained on the rest."""
    tokenizer, small = chat_tokenizer(), AutoModelForCausalLM.from_pretrained(chat_base)
    small.resize_token_embeddings(256)
    small.save_pretrained(tmp_path / "base")
    resized = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    resized.resize_token_embeddings(len(tokenizer))
    lora = {"target_modules": "all-linear"}
    trainer = trained(CONVERSATIONS, resized, tokenizer, tmp_path / "run", lora=lora, assistant_only_loss=True)
    run, examples, lines = audited(tmp_path / "run", CONVERSATIONS, tmp_path / "base", fails=["base"])
    assert "has embeddings of 256 tokens" in "\n".join(lines)
    check(run, examples, trainer, trainer.model.eval(), trailing=newline(tokenizer))


def test_packing(chat_base, chat_tokenizer, audited, tmp_path):
    """Packed rows attend only within themselves, so each is scored as it was trained."""
    tokenizer = chat_tokenizer()
    plain = trl.SFTTrainer(
        model=str(chat_base), processing_class=tokenizer, train_dataset=Dataset.from_list(CONVERSATIONS),
        args=trl.SFTConfig(str(tmp_path / "plain"), assistant_only_loss=True, use_cpu=True, bf16=False, max_length=400,
                           report_to="none", disable_tqdm=True),
    )  # fmt: skip
    trained(CONVERSATIONS, chat_base, tokenizer, tmp_path / "run", assistant_only_loss=True, packing=True)
    run, examples, _ = audited(tmp_path / "run", CONVERSATIONS, chat_base)
    check(run, examples, plain, loaded(tmp_path / "run", chat_base, adapter=False), trailing=newline(tokenizer))


def test_completions_are_those_of_generate(chat_base, chat_tokenizer, audited, tmp_path):
    tokenizer = chat_tokenizer()
    trained(CONVERSATIONS, chat_base, tokenizer, tmp_path / "run", assistant_only_loss=True)
    run, examples, _ = audited(tmp_path / "run", CONVERSATIONS, chat_base)
    model, samples = (
        loaded(tmp_path / "run", chat_base, adapter=False),
        store.read_samples(run, "checkpoint-4", "train"),
    )
    by_question = {c["messages"][1]["content"]: c["messages"][:-1] for c in CONVERSATIONS}
    for identity, text in zip(samples.example_ids, samples.text, strict=True):
        turns = by_question[examples[identity].question]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        made = model.generate(**ids, max_new_tokens=12, do_sample=False, pad_token_id=258)
        reply = made[0, ids["input_ids"].shape[1] :]
        assert text == tokenizer.decode(reply, skip_special_tokens=True).strip()
