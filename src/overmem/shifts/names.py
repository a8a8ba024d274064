"""First names replaced by others."""

import random
import re
from dataclasses import dataclass, replace

from overmem.assets import read_asset
from overmem.records import Example


@dataclass(frozen=True)
class FirstNames:
    """First names by gender. A name is replaced by another of its group, so that pronouns stay correct."""

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
_OTHER_MEANING = re.compile(r"\b(?:Will|Mark|Bill|Pat) (?:the|he|she|it|they|there|your|each|all)\b")
"""A first name used as a verb or with another meaning."""


def names(example: Example, random: random.Random) -> Example:
    """Every known first name replaced by another, consistently in question, solution and answer. Keeps the answer.

    Women's names are replaced by women's and men's by men's, so that pronouns stay correct. If the answer is a name, it
    is replaced too. The example is returned unchanged if its question has no known name, or if a name also occurs in
    another form (sam, Sammy), because the reference would become ambiguous.
    """
    text = f"{example.question} {example.solution} {example.answer}"
    names_found = list(dict.fromkeys(m.group() for m in _NAME.finditer(example.question)))
    if not names_found or _OTHER_MEANING.search(text):
        return example
    used_words = set(re.findall(r"\w+", text))
    replacement_of: dict[str, str] = {}
    for name in names_found:
        group = next(names for names in NAMES.groups if name in names)
        available = [other for other in group if other not in used_words and other != "Will"]
        if not available:
            return example
        replacement_of[name] = random.choice(available)
        used_words.add(replacement_of[name])
    if any(_is_form_of(word, name) for word in set(re.findall(r"\w+", text)) for name in names_found):
        return example

    def rename(part: str) -> str:
        return re.sub(rf"\b(?:{'|'.join(replacement_of)})\b", lambda m: replacement_of[m.group()], part)

    return replace(example, question=rename(example.question), solution=rename(example.solution),
                   answer=rename(example.answer))  # fmt: skip


def _is_form_of(word: str, name: str) -> bool:
    """Whether another word may be a form of the name: different case, shorter or longer."""
    if word == name or len(word) < 3:
        return False
    if word.casefold() == name.casefold():
        return True
    return word[0].isupper() and (name.startswith(word) or word.startswith(name))
