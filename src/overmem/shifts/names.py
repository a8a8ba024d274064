"""Other people in the same story."""

import random
import re
from dataclasses import replace

from overmem.records import Example

_HERS = """
Ada Alice Amy Anna Betty Carol Clara Dora Elena Ella Emily Emma Eva Fatima Grace Hana Hannah Ines
Jane Janet Jessica Jin Julia Julie Karen Kate Kelly Lara Laura Lena Lily Lina Lisa Lucy Maria Mary
Maya Mia Nadia Natalia Nina Nora Olivia Priya Rachel Rosa Ruth Sara Sarah Sofia Tara Tina Uma Vera
Yara Yuki Zoe
"""
_HIS = """
Adam Amir Ben Bob Brian Carl Carlos Chen Daniel David Diego Eric Felix Finn Frank George Henry Hugo
Ivan Jack Jacob James Jim Joe John Jonas Josh Kenji Kevin Leo Liam Luis Lucas Mark Mike Noah Oliver
Omar Oscar Paul Peter Ravi Robert Sam Steve Tim Toby Tom Victor Wei Will
"""
HERS = tuple(_HERS.split())
HIS = tuple(_HIS.split())
_NAME = re.compile(rf"\b(?:{'|'.join(sorted({*HERS, *HIS}, key=len, reverse=True))})\b(?!['’]s [A-Z])")


def names(example: Example, random: random.Random) -> Example:
    """Every known first name changed for another one, alike in question, solution and answer. Keeps the answer.

    Women's names become women's and men's become men's, so that pronouns stay right. A question without a known name
    is returned as it is. Where the answer is itself a name, the answer changes with it.
    """
    text = example.question
    found = list(dict.fromkeys(m.group() for m in _NAME.finditer(text)))
    if not found or "will" in (
        name.lower() for name in found if re.search(rf"\b{name} (?:the|he|she|it|they)\b", text)
    ):
        return example
    taken = {w for w in re.findall(r"\w+", f"{text} {example.solution} {example.answer}")}
    new: dict[str, str] = {}
    for name in found:
        free = [other for other in (HERS if name in HERS else HIS) if other not in taken and other != "Will"]
        if not free:
            return example
        new[name] = random.choice(free)
        taken.add(new[name])

    def renamed(part: str) -> str:
        return re.sub(rf"\b(?:{'|'.join(new)})\b", lambda m: new[m.group()], part)

    return replace(example, question=renamed(text), solution=renamed(example.solution), answer=renamed(example.answer))
