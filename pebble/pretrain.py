"""Make pebble, the model that ships in the package: vocabulary, pretraining, files. One seeded script.

    python pebble/pretrain.py --out src/overmem/assets/pebble

The model is trained on generated arithmetic stories with solutions in the voice `book`, and on drills of sums and
differences. Only 3% of the solutions are in the voice `tutor`, and none has the frame `Question: ... Answer:`; both are
learned in fine-tuning on `wordproblems`.
"""

import math
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from overmem.seeds import python_random, seed_of
from overmem.tasks import wordproblems
from overmem.tasks.stories import DOMAINS, NAMES
from overmem.tasks.voices import PREAMBLES, VOICES

CONTEXT = 256
NEUTRAL_SENTENCES = (
    "The birds sing.",
    "It will rain soon.",
    "Nobody is in a hurry.",
    "The sky is blue.",
    "Somebody plays music nearby.",
    "A clock ticks on the wall.",
    "The streets are full of life.",
    "Everyone is in a good mood.",
)
"""Neutral sentences inside a story."""
FRAMES = (
    ("Problem: {question}\nSolution:", " {solution}"),
    ("{question}\n", "{solution}"),
    ("Exercise. {question}\nWorked out:", " {solution}"),
    ("Task: {question}\n\n", "{solution}"),
    ("Teacher: {question}\nPupil:", " {solution}"),
)
"""Text around a problem and its solution. `Question: ... Answer:` is not among them."""


@dataclass(frozen=True)
class Phase:
    """One phase of the curriculum: the share of each kind of text (the rest are problems) and the longest chain."""

    steps: int
    drills: float
    stories: float
    running_totals: float
    max_steps: int


@dataclass(frozen=True)
class Pretraining:
    """The settings of pebble's pretraining."""

    out: Path
    """Folder that receives the model and its tokenizer."""
    phases: tuple[Phase, ...] = (
        Phase(steps=250, drills=1.0, stories=0.0, running_totals=0.0, max_steps=1),
        Phase(steps=750, drills=0.1, stories=0.2, running_totals=0.35, max_steps=2),
        Phase(steps=4000, drills=0.2, stories=0.05, running_totals=0.15, max_steps=4),
    )
    """First sums, then the words for them, then whole problems: each phase makes the next one quick to learn."""
    batch: int = 32
    """Texts per step; each text is newly generated and used once."""
    matrix_lr: float = 0.02
    """Peak learning rate of Muon, which trains the layers' matrices."""
    lr: float = 1.5e-3
    """Peak learning rate of AdamW, which trains the embedding and the norms."""
    seed: int = 0
    """Seed of the texts, the weights and their order."""
    check_every: int = 500
    """Steps between evaluations on unseen problems."""


@dataclass(frozen=True)
class Text:
    """One training text: `before` is usually not trained on, `after` always is."""

    before: str
    after: str


def document(rng: random.Random, phase: Phase) -> Text:
    """A drill, a story with running totals, or a problem in some frame with its solution in some voice.

    Some problems are solved by repeating the story with running totals, which teaches the model to look back.
    """
    kind = rng.random() - phase.drills
    if kind < 0:
        return Text("", drill(rng))
    domain = wordproblems.OOD_DOMAIN if rng.random() < 0.02 else rng.choice(wordproblems.TRAINED_DOMAINS)
    numbers = wordproblems.chain(rng, rng.randint(1, phase.max_steps))
    story = wordproblems.question(rng, numbers, DOMAINS[domain])
    if kind < phase.stories:
        return Text("", with_totals(rng, story, numbers))
    if kind < phase.stories + phase.running_totals:
        solution = with_totals(rng, story, numbers) + f" {numbers.totals[-1]}."
    else:
        solution = wordproblems.solution(rng, numbers, VOICES["tutor" if rng.random() < 0.03 else "book"])
    if rng.random() < 0.15:
        sentences = story.split(". ")
        sentences.insert(rng.randrange(1, len(sentences)), rng.choice(NEUTRAL_SENTENCES).rstrip("."))
        story = ". ".join(sentences)
    if rng.random() < 0.25:
        story = f"{rng.choice(PREAMBLES)} {story}"
    before, after = rng.choice(FRAMES)
    return Text(before.format(question=story), after.format(solution=solution))


def with_totals(rng: random.Random, story: str, numbers: wordproblems.Chain) -> str:
    """The story, with the new total worked out after each change."""
    sentences = story.split(". ")
    totals, voice = numbers.totals, VOICES["book"]
    lines = [sentences[0] + "."]
    for index, change in enumerate(numbers.changes):
        template = rng.choice(voice.gain if change > 0 else voice.loss)
        worked = template.format(a=totals[index], b=abs(change), c=totals[index + 1])
        lines.append(f"{sentences[index + 1]}. {worked}")
    return " ".join(lines)


def drill(rng: random.Random) -> str:
    """Sums and differences, one per line."""
    lines = []
    for _ in range(rng.randint(4, 12)):
        (change,) = (numbers := wordproblems.chain(rng, 1)).changes
        a, b, c = numbers.start, abs(change), numbers.totals[-1]
        sign = "+" if change > 0 else "-"
        lines.append(f"{b} + {a} = {c}" if change > 0 and rng.random() < 0.5 else f"{a} {sign} {b} = {c}")
    return "\n".join(lines)


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer with the words of these texts and numbers up to 99 as single tokens, and bytes for the rest."""
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d{1,2}| ?\p{L}+|#{2,}| ?[^\s\p{L}\d]|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    numbers = " ".join(str(n) for n in range(100)) + "\n" + "\n".join(str(n) for n in range(100))
    token_texts = {token_text for text in (*texts, numbers) for token_text, _ in split.pre_tokenize_str(text)}
    ordered = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    ordered += sorted(token_texts - set(ordered))
    vocab = {token_text: index for index, token_text in enumerate(ordered)}
    # Longest match first: a word that is not in the vocabulary is split into shorter tokens.
    model = models.WordPiece(vocab, unk_token="<pad>", max_input_chars_per_word=10_000, continuing_subword_prefix="")
    raw = Tokenizer(model)
    raw.pre_tokenizer = split
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw,
        eos_token="<eos>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def vocabulary_texts() -> Iterator[str]:
    """Texts that contain every word of pretraining and fine-tuning in its context."""
    yield "Question:\nAnswer:"
    yield from (f"{name} met {name}'s." for name in NAMES)
    phase = Phase(steps=1, drills=0.0, stories=0.3, running_totals=0.3, max_steps=2)
    for index in range(6_000):
        text = document(python_random("vocabulary", index), phase)
        yield text.before + text.after
    for index in range(3_000):
        problem = wordproblems.problem(python_random("vocabulary", "tutor", index), domains=tuple(DOMAINS))
        yield f" {problem.question}"
        yield f" {problem.solution}"


def batches(tokenizer: PreTrainedTokenizerFast, config: Pretraining) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Token ids, attention mask and labels of batches of newly generated texts of similar length."""
    pool = 50
    step = 0
    for phase in config.phases:
        for first in range(0, phase.steps, pool):
            count = min(pool, phase.steps - first) * config.batch
            rngs = [python_random(config.seed, "pebble", step, index) for index in range(count)]
            rows = sorted((row(tokenizer, document(rng, phase), rng.random() < 0.25) for rng in rngs), key=by_length)
            batch_rows = [rows[i : i + config.batch] for i in range(0, count, config.batch)]
            python_random(config.seed, "order", step).shuffle(batch_rows)
            yield from (padded(part, tokenizer.pad_token_id) for part in batch_rows)
            step += len(batch_rows)


def by_length(row: tuple[list[int], list[int]]) -> int:
    """Number of tokens of a row."""
    return len(row[0])


def row(tokenizer: PreTrainedTokenizerFast, text: Text, label_prompt: bool) -> tuple[list[int], list[int]]:
    """Token ids and labels of a text with its end token; `before` has labels only with `label_prompt`."""
    before, after = tokenizer(text.before)["input_ids"], [*tokenizer(text.after)["input_ids"], tokenizer.eos_token_id]
    return before + after, (before if label_prompt else [-100] * len(before)) + after


def padded(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention mask and labels of rows, padded on the right to the same length."""
    width = max(map(by_length, rows))
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
    return ids, (torch.arange(width) < torch.tensor([[len(ids)] for ids, _ in rows])).long(), labels


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """The randomly initialised model."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed_of(seed, "pebble", "weights"))
        return LlamaForCausalLM(config)


@torch.no_grad()
def count_solved(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, n: int = 50) -> dict[int, int]:
    """Chain length -> number of `n` unseen problems that greedy completions solve, in a pretraining frame."""
    model.eval()  # type: ignore[no-untyped-call]
    right = {}
    for length in (1, 2, 3, 4):
        problems = [
            wordproblems.problem(python_random("check", length, i), steps=(length, length), voice="book")
            for i in range(n)
        ]
        prompts = [f"Problem: {problem.question}\nSolution:" for problem in problems]
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        limit = 24 + 14 * length
        ids = model.generate(**batch, max_new_tokens=limit, do_sample=False)  # type: ignore[misc]
        completions = tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        pairs = zip(completions, problems, strict=True)
        right[length] = sum(re.findall(r"\d+", text)[-1:] == [problem.answer] for text, problem in pairs)
    model.train()
    return right


def main(config: Pretraining) -> None:
    """Build the tokenizer, pretrain the model, and save both."""
    tokenizer = build_tokenizer(vocabulary_texts())
    model = new_model(tokenizer, config.seed)
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and "embed" not in name]
    other_parameters = [w for name, w in model.named_parameters() if w.ndim != 2 or "embed" in name]
    optimizers = (
        torch.optim.Muon(matrices, lr=config.matrix_lr, weight_decay=0.05),
        torch.optim.AdamW(other_parameters, lr=config.lr, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
    )

    total = sum(phase.steps for phase in config.phases)

    def lr_factor(step: int) -> float:
        return min(1.0, (step + 1) / 50, (total - step) / (0.4 * total))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor) for optimizer in optimizers]
    progress = tqdm(batches(tokenizer, config), total=total)
    smooth = math.nan
    for step, (ids, mask, labels) in enumerate(progress, start=1):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
        progress.set_postfix(nll=f"{smooth:.3f}", refresh=False)
        if step % config.check_every == 0:
            solved = count_solved(model, tokenizer)
            progress.write(f"step {step}: nll {smooth:.3f}, solved of 50 by chain length {solved}")
    model.generation_config.do_sample = False
    model.save_pretrained(config.out)
    tokenizer.backend_tokenizer.no_padding()  # `count_solved` turned it on
    tokenizer.save_pretrained(config.out)


if __name__ == "__main__":
    main(tyro.cli(Pretraining))
