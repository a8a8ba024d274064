"""Derived splits: rephrased test questions, and the changed examples that two membership attacks score."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from overmem import shifts
from overmem.errors import unknown
from overmem.records import NEIGHBOUR_MARK, Example, SplitName
from overmem.seeds import python_random
from overmem.tasks.splits import sample

SHOTS = 4
"""For `recall`: number of solved non-members before the question; fewer if the context window is too short."""
NEIGHBOURS = 5
"""For `neighbour`: number of changed copies of each solution."""
REPLACED_SHARE = 0.15
"""For `neighbour`: the share of a solution's replaceable words that are replaced."""

_PIECE_PATTERN = re.compile(r"\w+|\W")
_PLAIN_WORD = re.compile(r"[a-z]{2,}")

Splits = Mapping[str, Sequence[Example]]


def derived_splits(
    splits: Splits,
    shift_names: Sequence[str],
    attacks: Sequence[str],
    *,
    rows: int,
    side_rows: int,
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, tuple[Example, ...]]:
    """The splits of `shifted_splits` and of `attack_splits`; see those for the arguments."""
    side_rows = min(rows, side_rows)
    shifted = shifted_splits(splits, shift_names, rows=rows, side_rows=side_rows, seed=seed)
    return shifted | attack_splits(splits, attacks, rows=rows, side_rows=side_rows, seed=seed, fits=fits)


def shifted_splits(
    splits: Splits, shift_names: Sequence[str], *, rows: int, side_rows: int, seed: int
) -> dict[str, tuple[Example, ...]]:
    """The test questions rephrased by the requested shifts and by the rephrased sets that come with the data.

    Args:
        splits: the loaded splits, including `test`.
        shift_names: `name` or `name:count`.
        rows: number of test questions that are observed.
        side_rows: maximum number of them that each shift or set rephrases.
        seed: seed of the shifts.

    Raises:
        BadRequest: an unknown shift, or no test questions.
    """
    if shift_names and "test" not in splits:
        raise unknown("split", "test", splits, "this run, so no question can be rephrased")
    test = sample(splits.get("test", ()), "test", rows)
    rephrased = {
        f"test+{name}": examples
        for shift, count in map(shifts.parse_shift, shift_names)
        for name, examples in shifts.variants(test[:side_rows], shift, count, seed=seed).items()
    }
    index_of = {example.id: index for index, example in enumerate(test)}
    for split in splits:
        variant = SplitName.parse(split).shift_variant
        if split in rephrased or not variant:
            continue
        paired = [e for e in splits[split] if shifts.original_id(e.id, variant) in index_of]
        in_order = sorted(paired, key=lambda e: index_of[shifts.original_id(e.id, variant)])
        rephrased[split] = tuple(in_order[:side_rows])
    return rephrased


def attack_splits(
    splits: Splits,
    attacks: Sequence[str],
    *,
    rows: int,
    side_rows: int,
    seed: int,
    fits: Callable[[Example], bool] = lambda example: True,
) -> dict[str, tuple[Example, ...]]:
    """`train~<attack>` and `val~<attack>` for each attack: examples of train and val, changed as the attack needs.

    Args:
        splits: the loaded splits, including `train` (members) and `val` (non-members).
        attacks: names in ATTACKS.
        rows: number of val examples that are observed.
        side_rows: number of train examples that are observed, and maximum number of val examples that are attacked.
        seed: seed of the changes.
        fits: whether an example fits the context window.

    Raises:
        BadRequest: an unknown attack.
    """
    for attack in attacks:
        if attack not in ATTACKS:
            raise unknown("attack that needs changed examples", attack, ATTACKS)
    members = sample(splits.get("train", ()), "train", side_rows)
    non_members = sample(splits.get("val", ()), "val", len(splits.get("val", ())))
    attacked, spare = non_members[:rows][:side_rows], non_members[rows:]
    return {
        str(SplitName(split, attack=attack)): tuple(examples)
        for attack in attacks
        for split, examples in ATTACKS[attack](members, attacked, spare, seed, fits).items()
    }


def _with_shots(
    members: Sequence[Example],
    non_members: Sequence[Example],
    spare: Sequence[Example],
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, list[Example]]:
    """Put the same few solved non-members before every question.

    Args:
        members: examples of train.
        non_members: examples of val. If there are no spare ones, the last of these become shots and are not attacked.
        spare: further non-members, used as shots.
        seed: not used.
        fits: whether an example fits the context window. Shots are removed until 95% of the examples fit.
    """
    shots = list(spare or non_members[::-1])[:SHOTS]
    attacked_non_members = [e for e in non_members if e.id not in {shot.id for shot in shots}]
    for count in range(len(shots), 0, -1):
        prefix = "\n\n".join(f"{shot.question}\n{shot.solution}" for shot in shots[:count])
        prefixed = {
            split: [replace(e, question=f"{prefix}\n\n{e.question}") for e in examples]
            for split, examples in (("train", members), ("val", attacked_non_members))
        }
        all_examples = [*prefixed["train"], *prefixed["val"]]
        if count == 1 or sum(map(fits, all_examples)) >= 0.95 * len(all_examples):
            return prefixed
    return {"train": [], "val": []}


def _with_replaced_words(
    members: Sequence[Example],
    non_members: Sequence[Example],
    spare: Sequence[Example],
    seed: int,
    fits: Callable[[Example], bool],
) -> dict[str, list[Example]]:
    """Copies of every solution, with some words replaced by words that occur in the same context elsewhere.

    Args:
        members: examples of train.
        non_members: examples of val.
        spare: further non-members, which contribute words only.
        seed: seed of the replacements.
        fits: not used.
    """
    words_between: dict[tuple[str, str], set[str]] = {}
    words_after: dict[str, set[str]] = {}
    for example in (*members, *non_members, *spare):
        for left, word, right in _in_context(_pieces(example.solution)):
            if _PLAIN_WORD.fullmatch(word):
                words_between.setdefault((left, right), set()).add(word)
                words_after.setdefault(left, set()).add(word)
    neighbours: dict[str, list[Example]] = {}
    for split, examples in (("train", members), ("val", non_members)):
        neighbours[split] = []
        for example in examples:
            replacements = _replacements(example.solution, words_between, words_after)
            for number in range(1, NEIGHBOURS + 1) if replacements else ():
                random = python_random(seed, "neighbour", example.id, number)
                changed_solution = _replace_words(example.solution, replacements, random)
                neighbours[split].append(
                    replace(example, id=f"{example.id}{NEIGHBOUR_MARK}{number}", solution=changed_solution)
                )
    return neighbours


def _pieces(text: str) -> list[str]:
    """Split a text into words and single other characters, which joined give the text."""
    return _PIECE_PATTERN.findall(text)


def _in_context(pieces: Sequence[str]) -> list[tuple[str, str, str]]:
    """(previous, piece, next) of every piece that is not whitespace; empty strings at the ends."""
    visible = ["", *(piece for piece in pieces if not piece.isspace()), ""]
    return list(zip(visible, visible[1:], visible[2:], strict=False))


def _replacements(
    solution: str, words_between: Mapping[tuple[str, str], set[str]], words_after: Mapping[str, set[str]]
) -> dict[int, list[str]]:
    """Index of a piece -> the words that may replace it; words without a replacement are left out.

    Args:
        solution: the text.
        words_between: (previous, next) -> all words that occur between them.
        words_after: previous -> all words that follow it, for words without an alternative in `words_between`.
    """
    pieces = _pieces(solution)
    visible = [index for index, piece in enumerate(pieces) if not piece.isspace()]
    replacements = {}
    for index, (left, word, right) in zip(visible, _in_context(pieces), strict=True):
        if _PLAIN_WORD.fullmatch(word):
            alternatives = (words_between[left, right] - {word}) or (words_after[left] - {word})
            if alternatives:
                replacements[index] = sorted(alternatives)
    return replacements


def _replace_words(solution: str, replacements: Mapping[int, Sequence[str]], random: random.Random) -> str:
    pieces = _pieces(solution)
    for index in random.sample(sorted(replacements), max(1, round(REPLACED_SHARE * len(replacements)))):
        pieces[index] = random.choice(replacements[index])
    return "".join(pieces)


ATTACKS: Mapping[str, Callable[..., dict[str, list[Example]]]] = {
    "recall": _with_shots,
    "neighbour": _with_replaced_words,
}
"""Membership attacks that score changed examples -> the function that makes these."""
