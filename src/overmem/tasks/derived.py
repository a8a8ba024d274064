"""Splits derived from others: rephrased test questions, and what two membership attacks compare with."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from overmem import shifts
from overmem.errors import unknown
from overmem.records import NEIGHBOUR_MARK, Example, SplitName
from overmem.seeds import python_random
from overmem.tasks.splits import first

SHOTS = 4
"""Non-members before the question, for `recall`; fewer where the context window is too short."""
NEIGHBOURS = 5
"""Changed copies of each solution, for `neighbour`."""
CHANGED = 0.15
"""Of the words of a solution that can be changed, the share that is."""

_PIECE = re.compile(r"\w+|\W")
_PLAIN_WORD = re.compile(r"[a-z]{2,}")

Splits = Mapping[str, Sequence[Example]]


def derived_splits(
    splits: Splits,
    tellings: Sequence[str],
    attacks: Sequence[str],
    *,
    rows: int,
    side_rows: int,
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, tuple[Example, ...]]:
    """Every derived split: what `shifted_splits` and `attack_splits` make."""
    side_rows = min(rows, side_rows)
    shifted = shifted_splits(splits, tellings, rows=rows, side_rows=side_rows, seed=seed)
    return shifted | attack_splits(splits, attacks, rows=rows, side_rows=side_rows, seed=seed, fits=fits)


def shifted_splits(
    splits: Splits, asked: Sequence[str], *, rows: int, side_rows: int, seed: int
) -> dict[str, tuple[Example, ...]]:
    """The rephrased test questions: by the requested shifts, and by the sets that come with the data.

    Of the `rows` test questions that are observed, the first `side_rows` that a shift or set rephrases.

    Raises:
        BadRequest: an unknown shift, or no test questions.
    """
    if asked and "test" not in splits:
        raise unknown("split", "test", splits, "this run, so no question can be rephrased")
    test = first(splits.get("test", ()), "test", rows)
    made = {
        f"test+{name}": reworded
        for shift, count in map(shifts.asked, asked)
        for name, reworded in shifts.tellings(test[:side_rows], shift, count, seed=seed).items()
    }
    place = {example.id: index for index, example in enumerate(test)}
    for split in splits:
        wording = SplitName.parse(split).wording
        if split in made or not wording:
            continue
        paired = [e for e in splits[split] if shifts.original_id(e.id, wording) in place]
        made[split] = tuple(sorted(paired, key=lambda e: place[shifts.original_id(e.id, wording)])[:side_rows])
    return made


def attack_splits(
    splits: Splits,
    attacks: Sequence[str],
    *,
    rows: int,
    side_rows: int,
    seed: int,
    fits: Callable[[Example], bool] = lambda example: True,
) -> dict[str, tuple[Example, ...]]:
    """`train~<attack>` and `val~<attack>` for each attack: examples of train and val as it needs them scored.

    Args:
        splits: `train` (members) and `val` (non-members) among them.
        attacks: names of ATTACKED.
        rows: examples of val that are observed.
        side_rows: examples of train that are, and most of val that are attacked.
        seed: of the changes.
        fits: whether an example fits the context window.

    Raises:
        BadRequest: an unknown attack.
    """
    for attack in attacks:
        if attack not in ATTACKED:
            raise unknown("attack that needs scores of its own", attack, ATTACKED)
    members = first(splits.get("train", ()), "train", side_rows)
    others = first(splits.get("val", ()), "val", len(splits.get("val", ())))
    return {
        str(SplitName(split, attack=attack)): tuple(made)
        for attack in attacks
        for split, made in ATTACKED[attack](members, others[:rows][:side_rows], others[rows:], seed, fits).items()
    }


def _after_strangers(
    members: Sequence[Example],
    others: Sequence[Example],
    spare: Sequence[Example],
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, list[Example]]:
    """Every question after the same few solved non-members; where none are spare, the last ones give way."""
    strangers = list(spare or others[::-1])[:SHOTS]
    left = [e for e in others if e.id not in {s.id for s in strangers}]
    for count in range(len(strangers), 0, -1):
        before = "\n\n".join(f"{s.question}\n{s.solution}" for s in strangers[:count])
        made = {
            split: [replace(e, question=f"{before}\n\n{e.question}") for e in side]
            for split, side in (("train", members), ("val", left))
        }
        everyone = [*made["train"], *made["val"]]
        if count == 1 or sum(map(fits, everyone)) >= 0.95 * len(everyone):
            return made
    return {"train": [], "val": []}


def _with_other_words(
    members: Sequence[Example],
    others: Sequence[Example],
    spare: Sequence[Example],
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, list[Example]]:
    """Copies of every solution in which some words are others that stand between the same two pieces elsewhere."""
    between: dict[tuple[str, str], set[str]] = {}
    after: dict[str, set[str]] = {}
    for example in (*members, *others, *spare):
        pieces = _pieces(example.solution)
        for left, word, right in _triples(pieces):
            if _PLAIN_WORD.fullmatch(word):
                between.setdefault((left, right), set()).add(word)
                after.setdefault(left, set()).add(word)
    made: dict[str, list[Example]] = {}
    for split, side in (("train", members), ("val", others)):
        made[split] = []
        for example in side:
            choices = _choices(example.solution, between, after)
            for number in range(1, NEIGHBOURS + 1) if choices else ():
                random = python_random(seed, "neighbour", example.id, number)
                changed = _changed(example.solution, choices, random)
                made[split].append(replace(example, id=f"{example.id}{NEIGHBOUR_MARK}{number}", solution=changed))
    return made


def _pieces(text: str) -> list[str]:
    return _PIECE.findall(text)


def _triples(pieces: Sequence[str]) -> list[tuple[str, str, str]]:
    """Each word with the nearest piece that is no space before it and after it; empty at the ends."""
    solid = ["", *(piece for piece in pieces if not piece.isspace()), ""]
    return list(zip(solid, solid[1:], solid[2:], strict=False))


def _choices(
    solution: str, between: Mapping[tuple[str, str], set[str]], after: Mapping[str, set[str]]
) -> dict[int, list[str]]:
    """Position among the pieces -> the other words that may stand there; words without one are left out."""
    pieces = _pieces(solution)
    solid = [index for index, piece in enumerate(pieces) if not piece.isspace()]
    choices = {}
    for index, (left, word, right) in zip(solid, _triples(pieces), strict=True):
        if _PLAIN_WORD.fullmatch(word):
            others = (between[left, right] - {word}) or (after[left] - {word})
            if others:
                choices[index] = sorted(others)
    return choices


def _changed(solution: str, choices: Mapping[int, Sequence[str]], random: random.Random) -> str:
    pieces = _pieces(solution)
    for index in random.sample(sorted(choices), max(1, round(CHANGED * len(choices)))):
        pieces[index] = random.choice(choices[index])
    return "".join(pieces)


ATTACKED: Mapping[str, Callable[..., dict[str, list[Example]]]] = {
    "recall": _after_strangers,
    "neighbour": _with_other_words,
}
"""Attacks that need more than the scores of the solutions themselves, and the function that makes what they need."""
