"""Make pebble, the model that overmem carries in its package: vocabulary, pretraining, files. One seeded script.

    python pebble/pretrain.py --out src/overmem/assets/pebble

The model reads generated arithmetic stories, solves them in the voice `book`, and drills sums and differences. The
voice `tutor` is 3% of its solutions, and it never sees the frame `Question: ... Answer:`: fine-tuning on `wordproblems`
teaches both.
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
from overmem.tasks.stories import DOMAINS
from overmem.tasks.voices import PREAMBLES, VOICES

CONTEXT = 256
ASIDES = (
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
"""What stands around a problem and its solution. `Question: ... Answer:` is not among them."""


@dataclass(frozen=True)
class Phase:
    """One stretch of the curriculum: the share of each kind of text (the rest are problems) and the longest chain."""

    steps: int
    drills: float
    stories: float
    retold: float
    longest: int


@dataclass(frozen=True)
class Pretraining:
    """How pebble is made."""

    out: Path
    """Folder that receives the model and its tokenizer."""
    phases: tuple[Phase, ...] = (
        Phase(steps=250, drills=1.0, stories=0.0, retold=0.0, longest=1),
        Phase(steps=750, drills=0.1, stories=0.2, retold=0.35, longest=2),
        Phase(steps=4000, drills=0.2, stories=0.05, retold=0.15, longest=4),
    )
    """Sums first, then which words mean which of them, then whole problems: each makes the next quick to learn."""
    batch: int = 32
    """Texts a step, each generated anew and read once."""
    matrix_lr: float = 0.02
    """Peak learning rate of Muon, which trains the layers' matrices."""
    lr: float = 1.5e-3
    """Peak learning rate of AdamW, which trains the embedding and the norms."""
    seed: int = 0
    """Seed of the texts, the weights and their order."""
    check_every: int = 500
    """Steps between looks at how many unseen problems the model solves."""


@dataclass(frozen=True)
class Text:
    """One text to read: what is only read, most of the time, and what is always learned word by word."""

    before: str
    after: str


def document(draw: random.Random, phase: Phase) -> Text:
    """A drill, a story with its running total, or a problem in some frame with its solution in some voice.

    Retold problems are solved by telling the story again with its running total: they teach to look back.
    """
    kind = draw.random() - phase.drills
    if kind < 0:
        return Text("", drill(draw))
    domain = wordproblems.OOD_DOMAIN if draw.random() < 0.02 else draw.choice(wordproblems.TRAINED_DOMAINS)
    numbers = wordproblems.chain(draw, draw.randint(1, phase.longest))
    told = wordproblems.question(draw, numbers, DOMAINS[domain])
    if kind < phase.stories:
        return Text("", with_totals(draw, told, numbers))
    if kind < phase.stories + phase.retold:
        solution = with_totals(draw, told, numbers) + f" {numbers.totals[-1]}."
    else:
        solution = wordproblems.solution(draw, numbers, VOICES["tutor" if draw.random() < 0.03 else "book"])
    if draw.random() < 0.15:
        sentences = told.split(". ")
        sentences.insert(draw.randrange(1, len(sentences)), draw.choice(ASIDES).rstrip("."))
        told = ". ".join(sentences)
    if draw.random() < 0.25:
        told = f"{draw.choice(PREAMBLES)} {told}"
    before, after = draw.choice(FRAMES)
    return Text(before.format(question=told), after.format(solution=solution))


def with_totals(draw: random.Random, told: str, numbers: wordproblems.Chain) -> str:
    """A story in which each change is worked out where it happens."""
    sentences = told.split(". ")
    totals, voice = numbers.totals, VOICES["book"]
    lines = [sentences[0] + "."]
    for index, change in enumerate(numbers.changes):
        words = draw.choice(voice.gain if change > 0 else voice.loss)
        worked = words.format(a=totals[index], b=abs(change), c=totals[index + 1])
        lines.append(f"{sentences[index + 1]}. {worked}")
    return " ".join(lines)


def drill(draw: random.Random) -> str:
    """Sums and differences, one a line."""
    lines = []
    for _ in range(draw.randint(4, 12)):
        (change,) = (numbers := wordproblems.chain(draw, 1)).changes
        a, b, c = numbers.start, abs(change), numbers.totals[-1]
        sign = "+" if change > 0 else "-"
        lines.append(f"{b} + {a} = {c}" if change > 0 and draw.random() < 0.5 else f"{a} {sign} {b} = {c}")
    return "\n".join(lines)


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Words of these texts and numbers up to 99 as single tokens; the rest falls to bytes, so that no text is lost."""
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d{1,2}| ?\p{L}+|#{2,}| ?[^\s\p{L}\d]|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    numbers = " ".join(str(n) for n in range(100)) + "\n" + "\n".join(str(n) for n in range(100))
    pieces = {piece for text in (*texts, numbers) for piece, _ in split.pre_tokenize_str(text)}
    ordered = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    ordered += sorted(pieces - set(ordered))
    vocab = {piece: index for index, piece in enumerate(ordered)}
    # Longest match first, and continued pieces without a mark: a word that is not in the list is spelt in shorter ones.
    model = models.WordPiece(vocab, unk_token="<pad>", max_input_chars_per_word=10_000, continuing_subword_prefix="")
    raw = Tokenizer(model)
    raw.pre_tokenizer = split
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<eos>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def vocabulary_texts() -> Iterator[str]:
    """Texts that hold every word of pretraining and fine-tuning where it stands there."""
    yield "Question:\nAnswer:"
    yield from (f"{name} met {name}'s." for name in wordproblems.NAMES)
    phase = Phase(steps=1, drills=0.0, stories=0.3, retold=0.3, longest=2)
    for index in range(6_000):
        text = document(python_random("vocabulary", index), phase)
        yield text.before + text.after
    for index in range(3_000):
        one = wordproblems.problem(python_random("vocabulary", "tutor", index), domains=tuple(DOMAINS))
        yield f" {one.question}"
        yield f" {one.solution}"


def batches(words: PreTrainedTokenizerFast, config: Pretraining) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Token ids, attention mask and labels of texts of like length, each text generated anew."""
    pool = 50
    step = 0
    for phase in config.phases:
        for first in range(0, phase.steps, pool):
            count = min(pool, phase.steps - first) * config.batch
            draws = [python_random(config.seed, "pebble", step, index) for index in range(count)]
            rows = sorted((row(words, document(draw, phase), draw.random() < 0.25) for draw in draws), key=by_length)
            made = [rows[i : i + config.batch] for i in range(0, count, config.batch)]
            python_random(config.seed, "order", step).shuffle(made)
            yield from (padded(part, words.pad_token_id) for part in made)
            step += len(made)


def by_length(row: tuple[list[int], list[int]]) -> int:
    """Tokens of a row."""
    return len(row[0])


def row(words: PreTrainedTokenizerFast, text: Text, whole: bool) -> tuple[list[int], list[int]]:
    """Token ids of a text and its end, and as many labels; what comes before is labelled in `whole` texts only."""
    before, after = words(text.before)["input_ids"], [*words(text.after)["input_ids"], words.eos_token_id]
    return before + after, (before if whole else [-100] * len(before)) + after


def padded(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention mask and labels of rows filled up on the right to one length."""
    width = max(map(by_length, rows))
    ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
    return ids, (torch.arange(width) < torch.tensor([[len(ids)] for ids, _ in rows])).long(), labels


def fresh_model(words: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """The model before its first step."""
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed_of(seed, "pebble", "weights"))
        return LlamaForCausalLM(config)


@torch.no_grad()
def solved(model: LlamaForCausalLM, words: PreTrainedTokenizerFast, n: int = 50) -> dict[int, int]:
    """How many of `n` unseen problems of each chain length the greedy completion gets right, in a pretraining frame."""
    model.eval()
    right = {}
    for length in (1, 2, 3, 4):
        asked = [
            wordproblems.problem(python_random("check", length, i), steps=(length, length), voice="book")
            for i in range(n)
        ]
        batch = words([f"Problem: {one.question}\nSolution:" for one in asked], return_tensors="pt", padding=True)
        ids = model.generate(**batch, max_new_tokens=24 + 14 * length, do_sample=False)
        told = words.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        pairs = zip(told, asked, strict=True)
        right[length] = sum(re.findall(r"\d+", text)[-1:] == [one.answer] for text, one in pairs)
    model.train()
    return right


def main(config: Pretraining) -> None:
    """Make the tokenizer, pretrain the model, write both."""
    words = tokenizer(vocabulary_texts())
    model = fresh_model(words, config.seed)
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and "embed" not in name]
    others = [w for name, w in model.named_parameters() if w.ndim != 2 or "embed" in name]
    optimizers = (
        torch.optim.Muon(matrices, lr=config.matrix_lr, weight_decay=0.05),
        torch.optim.AdamW(others, lr=config.lr, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
    )

    total = sum(phase.steps for phase in config.phases)

    def share_of_peak(step: int) -> float:
        return min(1.0, (step + 1) / 50, (total - step) / (0.4 * total))

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, share_of_peak) for optimizer in optimizers]
    progress = tqdm(batches(words, config), total=total)
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
            progress.write(f"step {step}: nll {smooth:.3f}, solved of 50 by chain length {solved(model, words)}")
    model.generation_config.do_sample = False
    model.save_pretrained(config.out)
    words.backend_tokenizer.no_padding()  # which `solved` had turned on
    words.save_pretrained(config.out)


if __name__ == "__main__":
    main(tyro.cli(Pretraining))
