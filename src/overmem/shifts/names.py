"""First names replaced by others."""

import random
import re
from dataclasses import dataclass, replace

from overmem.assets import read_asset
from overmem.records import Example


@dataclass(frozen=True)
class FirstNames:
    """First names by gender. Each is replaced by one of its group, so that pronouns stay right."""

    women: tuple[str, ...]
    men: tuple[str, ...]
    either: tuple[str, ...]

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The three groups."""
        return self.women, self.men, self.either


NAMES: FirstNames = read_asset("shifts/names.json", FirstNames)
_PATTERN = "|".join(sorted({name for group in NAMES.groups for name in group}, key=len, reverse=True))
_NAME = re.compile(rf"(?<!San )(?<!Santa )(?<!St\. )(?<!Lake )\b(?:{_PATTERN})\b(?!['’]s [A-Z])")
_VERB = re.compile(r"\b(?:Will|Mark|Bill|Pat) (?:the|he|she|it|they|there|your|each|all)\b")
"""A first name used as a verb or at the start of a sentence with another meaning."""


def names(example: Example, random: random.Random) -> Example:
    """Every known first name replaced by another, consistently in question, solution and answer. Keeps the answer.

    Women's names are replaced by women's and men's by men's, so that pronouns stay right. Where the answer is itself a
    name, it is replaced too. The example is returned unchanged where its question has no known name, or where a name
    also occurs in another form (sam, Sammy), because the reference would become ambiguous.
    """
    text = f"{example.question} {example.solution} {example.answer}"
    present = list(dict.fromkeys(m.group() for m in _NAME.finditer(example.question)))
    if not present or _VERB.search(text):
        return example
    taken = set(re.findall(r"\w+", text))
    new: dict[str, str] = {}
    for name in present:
        group = next(names for names in NAMES.groups if name in names)
        free = [other for other in group if other not in taken and other != "Will"]
        if not free:
            return example
        new[name] = random.choice(free)
        taken.add(new[name])
    if any(_is_form_of(word, name) for word in set(re.findall(r"\w+", text)) for name in present):
        return example

    def renamed(part: str) -> str:
        return re.sub(rf"\b(?:{'|'.join(new)})\b", lambda m: new[m.group()], part)

    return replace(example, question=renamed(example.question), solution=renamed(example.solution),
                   answer=renamed(example.answer))  # fmt: skip


def _is_form_of(word: str, name: str) -> bool:
    """Whether another word may be a form of the name: different case, shorter or longer."""
    if word == name or len(word) < 3:
        return False
    if word.casefold() == name.casefold():
        return True
    return word[0].isupper() and (name.startswith(word) or word.startswith(name))
