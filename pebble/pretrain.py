"""Make pebble, the model that overmem carries in its package: vocabulary, pretraining, files. One seeded script.

    python pebble/pretrain.py --out src/overmem/assets/pebble

The model reads generated arithmetic stories, solves them in the voice `book`, and drills sums and differences. It never
sees the voice `tutor` nor the frame `Question: ... Answer:`, which are what fine-tuning on `wordproblems` teaches.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.utils.data import Dataset
from transformers import (
    DataCollatorForLanguageModeling,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from overmem.seeds import python_random
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
    "Problem: {question}\nSolution: {solution}",
    "{question}\n{solution}",
    "Exercise. {question}\nWorked out: {solution}",
    "Task: {question}\n\n{solution}",
    "Teacher: {question}\nPupil: {solution}",
)


@dataclass(frozen=True)
class Pretraining:
    """How pebble is made."""

    out: Path
    """Folder that receives the model and its tokenizer."""
    documents: int = 64_000
    """Generated texts, each read once."""
    batch: int = 32
    """Texts a step."""
    lr: float = 3e-3
    """Peak learning rate of a cosine schedule."""
    seed: int = 0
    """Seed of the texts, the weights and their order."""


def document(draw: random.Random) -> str:
    """One text to read: a solved problem in some frame, a story told with its running total, or a drill."""
    kind = draw.random()
    if kind < 0.68:
        rare = draw.random() < 0.02
        domains = (wordproblems.OOD_DOMAIN,) if rare else wordproblems.TRAINED_DOMAINS
        asked = wordproblems.problem(draw, steps=(1, 4), domains=domains, voice="book", preamble=0.25)
        told = asked.question
        if draw.random() < 0.15:
            sentences = told.split(". ")
            sentences.insert(draw.randrange(1, len(sentences)), draw.choice(ASIDES).rstrip("."))
            told = ". ".join(sentences)
        return draw.choice(FRAMES).format(question=told, solution=asked.solution)
    if kind < 0.85:
        return _running_story(draw)
    return _drill(draw)


def _running_story(draw: random.Random) -> str:
    numbers = wordproblems.chain(draw, draw.randint(1, 4))
    told = wordproblems.question(draw, numbers, DOMAINS[draw.choice(wordproblems.TRAINED_DOMAINS)])
    sentences = told.split(". ")[:-1]
    totals, voice = numbers.totals, VOICES["book"]
    lines = [sentences[0] + "."]
    for index, change in enumerate(numbers.changes):
        words = draw.choice(voice.gain if change > 0 else voice.loss)
        worked = words.format(a=totals[index], b=abs(change), c=totals[index + 1])
        lines.append(f"{sentences[index + 1]}. {worked}")
    return " ".join(lines)


def _drill(draw: random.Random) -> str:
    lines = []
    for _ in range(draw.randint(4, 12)):
        (change,) = (numbers := wordproblems.chain(draw, 1)).changes
        a, b, c = numbers.start, abs(change), numbers.totals[-1]
        sign = "+" if change > 0 else "-"
        lines.append(f"{b} + {a} = {c}" if change > 0 and draw.random() < 0.5 else f"{a} {sign} {b} = {c}")
    return "\n".join(lines)


def tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """Whole words, and numbers up to 99, as single tokens; anything else falls to bytes, so that no text is lost."""
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\d{1,2}| ?\p{L}+|#{2,}| ?[^\s\p{L}\d]|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)} | {str(n) for n in range(100)}
    pieces = {piece for word in words for piece, _ in split.pre_tokenize_str(f"{word} {word}")}
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
    """Texts that hold every word of every story, voice, frame and preamble at least once."""
    fill = {key: "" for key in ("who", "other", "thing", "n", "a", "b", "c", "question", "solution")}
    for domain in DOMAINS.values():
        yield from domain.things
        for template in domain.start + domain.gain + domain.loss + domain.ask:
            yield template.format(**fill)
    for voice in VOICES.values():
        for template in voice.opening + voice.gain + voice.loss + voice.closing:
            yield template.format(**fill)
    yield from (*wordproblems.NAMES, *PREAMBLES, *ASIDES, "Question: Answer: 's")
    yield from (frame.format(**fill) for frame in FRAMES)


class Documents(Dataset[dict[str, list[int]]]):
    """Generated texts as token ids, each ended by the end token."""

    def __init__(self, words: PreTrainedTokenizerFast, count: int, seed: int) -> None:
        texts = [document(python_random(seed, "pebble", index)) for index in range(count)]
        self.rows = [[*ids, words.eos_token_id] for ids in words(texts)["input_ids"]]
        if longest := [row for row in self.rows if len(row) > CONTEXT]:
            raise SystemExit(f"{len(longest)} texts are longer than the context of {CONTEXT} tokens")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {"input_ids": self.rows[index]}


def main(config: Pretraining) -> None:
    """Make the tokenizer, pretrain the model, write both."""
    words = tokenizer(vocabulary_texts())
    set_seed(config.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
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
            attention_dropout=0.0,
        )
    )
    arguments = TrainingArguments(
        output_dir=str(config.out / "training"),
        per_device_train_batch_size=config.batch,
        num_train_epochs=1,
        learning_rate=config.lr,
        lr_scheduler_type="cosine",
        warmup_steps=100,
        weight_decay=0.05,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        train_sampling_strategy="group_by_length",
        logging_steps=50,
        save_strategy="no",
        report_to="none",
        seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
    )
    collator = DataCollatorForLanguageModeling(words, mlm=False, pad_to_multiple_of=8)
    documents = Documents(words, config.documents, config.seed)
    Trainer(model=model, args=arguments, train_dataset=documents, data_collator=collator).train()
    model.generation_config.do_sample = False
    model.save_pretrained(config.out)
    words.save_pretrained(config.out)


if __name__ == "__main__":
    main(tyro.cli(Pretraining))
