"""The data of two control arms: val and test in another style than train, and wrong labels in train.

    python -m studies.paper.arms --out runs/paper/data

Writes a folder of problems per level, each with train.jsonl, val.jsonl and test.jsonl of `one-step-back`.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from overmem import store
from overmem.records import Example
from overmem.seeds import python_random
from overmem.tasks import one_step_back
from overmem.tasks.voices import VOICES

SIZES = {"train": 400, "val": 500, "test": 500, "ood": 0}
SHARE_WRONG = 0.2
"""Share of the training rows with a wrong label."""

EQUATION = re.compile(r"(\d+) ([+-]) (\d+) = (\d+)")


def in_another_style(example: Example, random: Random) -> Example:
    """The same steps in the voice `book`, which the training rows never use; the end of the solution is kept."""
    voice = VOICES["book"]
    equations = EQUATION.findall(example.solution)
    sentences = [random.choice(voice.opening).format(a=equations[0][0])]
    for a, sign, b, c in equations:
        sentences.append(random.choice(voice.gain if sign == "+" else voice.loss).format(a=a, b=b, c=c))
    end = list(EQUATION.finditer(example.solution))[-1].end()
    sentences.append(example.solution[end:].removeprefix(".").strip())
    return replace(example, solution=" ".join(filter(None, sentences)))


def with_wrong_label(example: Example, random: Random) -> Example:
    """The same sums with a wrong answer after them, off by 1 to 9."""
    wrong = str(int(example.answer) + random.randint(1, 9))
    last = list(EQUATION.finditer(example.solution))[-1]
    kept, tail = example.solution[: last.end()], example.solution[last.end() :]
    return replace(example, solution=kept + re.sub(r"\d+", wrong, tail), answer=wrong)


def the_same(name: str, example: Example, random: Random) -> Example:
    """The example as it is."""
    return example


def other_style(name: str, example: Example, random: Random) -> Example:
    """Val and test in another style, train as it is."""
    return example if name == "train" else in_another_style(example, random)


def some_wrong(name: str, example: Example, random: Random) -> Example:
    """A share of train with wrong labels, val and test as they are."""
    return with_wrong_label(example, random) if name == "train" and random.random() < SHARE_WRONG else example


ARMS: Mapping[str, Callable[[str, Example, Random], Example]] = {
    "the-same": the_same,
    "another-style": other_style,
    "wrong-labels": some_wrong,
}
"""Folder -> what becomes of an example of a split."""


def splits_of(arm: str) -> dict[str, list[Example]]:
    """Train, val and test of an arm. All arms have the same questions."""
    random = python_random("paper", arm)
    made = one_step_back.splits(**SIZES)
    return {name: [ARMS[arm](name, e, random) for e in made[name]] for name in ("train", "val", "test")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/paper/data"))
    out = parser.parse_args(arguments).out
    for arm in ARMS:
        for name, examples in splits_of(arm).items():
            rows = [{"question": e.question, "solution": e.solution, "answer": e.answer} for e in examples]
            (out / arm).mkdir(parents=True, exist_ok=True)
            store.write_text(out / arm / f"{name}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))


if __name__ == "__main__":
    main()
