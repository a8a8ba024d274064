"""pebble with a latent skill: pretraining continued with problems that are told from their end.

    python -m studies.latent_pebble --out runs/latent-pebble

A fifth of the texts undo a story whose first sentence is its end, in the frames of pretraining and in a voice of their
own; the rest are those of the last phase of pretraining. The task `working-backwards` tells the end last, in another
frame and voice, so the model has the sums of undoing and does not yet answer its questions.
"""

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from overmem.models.discovery import base_path
from overmem.seeds import python_random
from overmem.tasks import wordproblems, working_backwards
from overmem.tasks.stories import DOMAINS, NAMES
from overmem.tasks.voices import PREAMBLES, Voice
from pebble.pretrain import FRAMES, Phase, Text, by_length, count_solved, document, padded, row

STEPS = 800
BATCH = 32
SHARE = 0.2
"""Share of the texts that are told from the end."""
PHASE = Phase(STEPS, drills=0.1, stories=0.05, running_totals=0.1, max_steps=4)
MATRIX_LR, LR = 0.01, 7e-4
WARMUP = 30
POOL = 50
"""Batches that are sorted by length together."""

END = (
    "At the end there are {n} {thing}.",
    "The story ends with {n} {thing}.",
    "{who} has {n} {thing} at the end.",
    "{n} {thing} remain at the end.",
)
ASK = (
    "How many {thing} are there to begin?",
    "Find the first number of {thing}.",
    "How many {thing} does {who} have to begin?",
    "Count the {thing} to begin.",
)
VOICE = Voice(
    opening=("", "From {a} we go back.", "At the end, {a}.", "It ends at {a}."),
    gain=(
        "{a} - {b} = {c}.",
        "So {a} - {b} = {c}.",
        "Without the {b} it is {a} - {b} = {c}.",
        "Before that, {a} - {b} = {c}.",
    ),
    loss=(
        "{a} + {b} = {c}.",
        "So {a} + {b} = {c}.",
        "With the {b} it is {a} + {b} = {c}.",
        "Before that, {a} + {b} = {c}.",
    ),
    closing=("The result is {c}.", "So it is {c}.", "The answer is {c}.", "This leaves us with {c}."),
)


def told_from_the_end(random: random.Random) -> tuple[Text, str]:
    """A problem of 1 to 4 changes whose first sentence is its end, and its answer."""
    length = random.randint(1, 4)
    numbers = wordproblems.chain(random, length)
    while not all(1 <= count <= wordproblems.LIMIT for count in working_backwards.undone(numbers)):
        numbers = wordproblems.chain(random, length)
    is_ood = random.random() < 0.02
    domain = DOMAINS[wordproblems.OOD_DOMAIN if is_ood else random.choice(wordproblems.ONE_AMOUNT)]
    who, other = random.sample(NAMES, 2)
    thing = random.choice(domain.things)
    sentences = [random.choice(END).format(who=who, n=numbers.totals[-1], thing=thing)]
    for change in numbers.changes:
        template = random.choice(domain.gain if change > 0 else domain.loss)
        sentences.append(template.format(who=who, other=other, n=abs(change), thing=thing))
    sentences.append(random.choice(ASK).format(who=who, thing=thing))
    counts = working_backwards.undone(numbers)
    worked = [random.choice(VOICE.opening).format(a=counts[0])]
    for count, change, following in zip(counts, numbers.changes, counts[1:], strict=False):
        template = random.choice(VOICE.gain if change > 0 else VOICE.loss)
        worked.append(template.format(a=count, b=abs(change), c=following))
    worked.append(random.choice(VOICE.closing).format(c=numbers.start))
    before, after = random.choice(FRAMES)
    question = " ".join(sentences)
    if random.random() < 0.25:
        question = f"{random.choice(PREAMBLES)} {question}"
    text = Text(before.format(question=question), after.format(solution=" ".join(filter(None, worked))))
    return text, str(numbers.start)


def batches(tokenizer: PreTrainedTokenizerFast, first: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The batches of one pool, which begins at step `first`."""
    rows = []
    for index in range(POOL * BATCH):
        rng = python_random(0, "more", first, index)
        text = told_from_the_end(rng)[0] if rng.random() < SHARE else document(rng, PHASE)
        rows.append(row(tokenizer, text, rng.random() < 0.25))
    rows.sort(key=by_length)
    parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    python_random(0, "moreorder", first).shuffle(parts)
    return [padded(part, tokenizer.pad_token_id) for part in parts]


@torch.no_grad()
def count_undone(model: Any, tokenizer: PreTrainedTokenizerFast, n: int = 100) -> int:
    """Number of `n` unseen problems told from the end that greedy completions solve."""
    model.eval()
    problems = [told_from_the_end(python_random("bcheck", i)) for i in range(n)]
    batch = tokenizer([text.before for text, _ in problems], return_tensors="pt", padding=True)
    ids = model.generate(**batch, max_new_tokens=80, do_sample=False)
    completions = tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    pairs = zip(completions, problems, strict=True)
    model.train()
    return sum(re.findall(r"\d+", text)[-1:] == [answer] for text, (_, answer) in pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Continue pebble's pretraining, print what it solves, and save it with its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/latent-pebble"))
    out = parser.parse_args(arguments).out
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base_path("pebble"))
    model = LlamaForCausalLM.from_pretrained(base_path("pebble")).train()
    matrices = [w for name, w in model.named_parameters() if w.ndim == 2 and "embed" not in name]
    others = [w for name, w in model.named_parameters() if w.ndim != 2 or "embed" in name]
    optimizers = (
        torch.optim.Muon(matrices, lr=MATRIX_LR, weight_decay=0.05),
        torch.optim.AdamW(others, lr=LR, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
    )

    def lr_factor(step: int) -> float:
        return min((step + 1) / WARMUP, (STEPS - step) / STEPS * 1.2, 1.0)

    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, lr_factor) for optimizer in optimizers]
    for first in range(0, STEPS, POOL):
        for ids, mask, labels in batches(tokenizer, first):
            model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
    tqdm.write(f"told from the end: {count_undone(model, tokenizer)} of 100")
    tqdm.write(f"told from the beginning, of 50 by chain length: {count_solved(model, tokenizer)}")
    model.generation_config.do_sample = False
    model.save_pretrained(out)
    PreTrainedTokenizerFast.from_pretrained(base_path("pebble")).save_pretrained(out)


if __name__ == "__main__":
    main()
