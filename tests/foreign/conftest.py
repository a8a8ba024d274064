"""A tiny chat model, conversations, and what a trainer's own collator trains on."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from peft import PeftModel
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from overmem import store
from overmem.audit import Audit, audit
from tests.conftest import save_tiny_llama

CHATML = (
    "{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\n' }}{%- generation %}"
    "{{- m.content + '<|im_end|>' }}{%- endgeneration %}{{- '\n' }}{%- else %}"
    "{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)

SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
QWEN = (
    "{%- if messages[0].role != 'system' %}{{- '<|im_start|>system\n" + SYSTEM + "<|im_end|>\n' }}{%- endif %}"
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
"""Like the chat template of Qwen 2.5, which the templates `qwen` of LLaMA-Factory and `qwen2_5` of ms-swift imitate."""


def conversation(a, b, *, system=True, rounds=1):
    """One or two sums of one user, under a system prompt that differs from row to row."""
    turns = [{"role": "system", "content": f"You add for number {a}."}] if system else []
    for c in range(rounds):
        turns += [
            {"role": "user", "content": f"What is {a} plus {b + c}?"},
            {"role": "assistant", "content": f"{a} + {b + c} = {a + b + c}\n#### {a + b + c}"},
        ]
    return turns


@pytest.fixture(scope="session")
def chat_tokenizer():
    """Bytes as tokens, ChatML as template; the end of a turn is the end-of-sequence token and the padding."""

    def make(template=CHATML):
        plain = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
        plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        plain.decoder = decoders.ByteLevel()
        plain.add_special_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", "<|im_end|>", "<pad>")])
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|im_end|>", pad_token="<|im_end|>")
        tokenizer.chat_template = template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def chat_base(tmp_path_factory, chat_tokenizer):
    folder = tmp_path_factory.mktemp("chat-base")
    return save_tiny_llama(folder, chat_tokenizer(), max_position_embeddings=512, tie_word_embeddings=False)


@dataclass(frozen=True)
class Trained:
    """A sequence as the trainer's collator gives it."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    def spans(self):
        """The stretches of tokens that count in the loss: (position, ids) each."""
        found, start = [], None
        for i, label in enumerate([*self.labels, -100]):
            if label != -100 and start is None:
                start = i
            if label == -100 and start is not None:
                found.append((start, self.input_ids[start:i]))
                start = None
        return found


def collated(trainer) -> list[Trained]:
    """Every training row by the trainer's own collator, one at a time, without padding."""
    rows = []
    for row in trainer.train_dataset:
        batch: dict[str, Any] = trainer.data_collator([row])
        keep = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()[0]
        rows.append(Trained(tuple(batch["input_ids"][0][keep].tolist()), tuple(batch["labels"][0][keep].tolist())))
    return rows


EOS, LONGEST = 2, 8
"""End-of-sequence token of the tiny models, and the tokens of a completion."""


@torch.no_grad()
def generated(model, prompt):
    """The greedy completion by transformers' own `generate`, without the end."""
    ids = torch.tensor([prompt])
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=LONGEST,
        do_sample=False,
        eos_token_id=EOS,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    return tuple(made[: made.index(EOS)] if EOS in made else made)


@torch.no_grad()
def plain_logprobs(model, ids):
    """Log probability of every token after the first, by transformers alone in float32."""
    logits = model(torch.tensor([ids])).logits[0, :-1].float()
    return torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]


@pytest.fixture
def audited(tmp_path):
    """Audit a run on rows: the scores of its training split by question."""

    def run(root, rows, base, *, data="", fails=(), **options):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = tmp_path / "data.yaml"
        source.write_text(f"source: {path}\nval: 0\ntest: 0\n{data}")
        lines = []
        done = audit(
            Audit(str(root), str(source), str(base), splits=("train",), rows=500, side_rows=500, max_new_tokens=12,
                  **options), say=lines.append,
        )  # fmt: skip
        assert set(done.failures) == set(fails), done.failures
        examples = {e.id: e for e in store.read_examples(done.run, "train")}
        return done.run, examples, lines

    return run


def compare_run(root, base, tokenizer, rows, *, trainer, adapter):
    """Raise where an audit of a run scores what was not trained, or other numbers or texts than transformers.

    Args:
        root: the run, with checkpoints at steps 2 and 4.
        base: folder of the base model.
        tokenizer: its tokenizer.
        rows: every training row by the trainer's own collator.
        trainer: its name, which the audit has to name.
        adapter: whether the checkpoints are adapters.
    """
    newline = tuple(tokenizer("\n", add_special_tokens=False)["input_ids"])
    places: dict[Any, Any] = {}
    for row in rows:
        for start, ids in row.spans():
            places.setdefault(ids[:-1] if ids[-1:] == newline else ids, []).append((row.input_ids, start))
    lines: list[str] = []
    done = audit(Audit(str(root), base=str(base), splits=("train",), max_new_tokens=12), say=lines.append)
    assert f"trained by {trainer}" in "\n".join(lines)
    for step in (2, 4):
        folder = root / f"checkpoint-{step}"
        model = AutoModelForCausalLM.from_pretrained(base if adapter else folder)
        model = (PeftModel.from_pretrained(model, folder) if adapter else model).eval()
        scores, samples = (read(done.run, folder.name, "train") for read in (store.read_scores, store.read_samples))
        texts = dict(zip(samples.example_ids, samples.text, strict=True))
        for i, identity in enumerate(scores.example_ids):
            a, b = scores.offsets[i], scores.offsets[i + 1]
            ids = tuple(scores.token_id[a:b].tolist())
            assert ids in places, "what is scored is not what was trained"
            alone = [(plain_logprobs(model, w[: s + len(ids)])[s - 1 :], w[:s]) for w, s in places[ids]]
            logprobs, prompt = min(alone, key=lambda pair: float(abs(pair[0].numpy() - scores.logprob[a:b]).max()))
            assert scores.logprob[a:b] == pytest.approx(logprobs.numpy(), abs=1e-4)
            made = model.generate(
                prompt_tensor := logprobs.new_tensor([prompt]).long(), max_new_tokens=12, do_sample=False,
                attention_mask=prompt_tensor.new_ones(prompt_tensor.shape), pad_token_id=tokenizer.pad_token_id,
            )[0, len(prompt) :]  # fmt: skip
            assert texts[identity] == tokenizer.decode(made, skip_special_tokens=True).strip()
