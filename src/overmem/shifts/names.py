"""Other people in the same story."""

import random
import re
from dataclasses import replace

from overmem.records import Example

_HERS = """
Abigail Ada Alice Amanda Amy Andrea Angela Ann Anna Anne Annie Barbara Beth Betty Brenda Carla Carmen Carol
Carolyn Christina Cindy Claire Clara Diana Diane Donna Dora Dorothy Elena Elizabeth Ella Emily Emma Erica Erin Eva
Fatima Gina Grace Hana Hannah Helen Ines Jane Janet Janice Jasmine Jean Jenna Jennifer Jenny Jessica Jill Joan Julia
Julie Karen Kate Katie Lara Laura Leila Lena Lily Lina Linda Lisa Lucy Lydia Maggie Maria Marta Martha Mary
Maya Megan Melanie Melissa Mia Michelle Miriam Molly Monica Nadia Nancy Natalia Natalie Nina Nora Olivia Pamela
Patricia Paula Priya Rachel Rebecca Rita Rosa Ruth Sally Samantha Sandra Sara Sarah Sheila Sofia Sophia Sophie
Stella Stephanie Susan Susie Tara Tina Uma Vera Wendy Yara Yuki Zoe
"""
_HIS = """
Aaron Adam Alan Alexander Amir Andrew Andy Anthony Arthur Ben Bill Billy Bob Bobby Brandon Brian Bruce Calvin Carl
Carlos Charles Daniel Danny Dave David Derek Diego Eric Evan Felix Finn Frank Fred Gary George Gerald Greg Harry
Henry Hugo Ian Ivan Jack Jacob Jake James Jared Jason Javier Jeff Jeremy Jerry Jim Jimmy Joe Joel John Johnny Jonas
Joseph Josh Justin Keith Ken Kenji Kenny Kevin Kyle Larry Leo Liam Logan Lucas Luis Luke Marcus Mark Martin
Mason Matt Matthew Michael Mike Nathan Neil Nick Noah Oliver Omar Oscar Owen Patrick Paul Peter Phil Ravi Rick Robert
Roger Ron Ryan Samuel Scott Sean Simon Stan Steve Steven Thomas Tim Toby Todd Tom Tommy Tony Travis Trevor Tyler
Victor Walter Will William Zach
"""
_EITHER = """
Alex Avery Blake Casey Charlie Chen Jamie Jessie Jin Kelly Kim Morgan Pat Quinn Riley Robin Sam Taylor Tracy Wei
"""
HERS = tuple(_HERS.split())
HIS = tuple(_HIS.split())
EITHER = tuple(_EITHER.split())
"""Names of women and of men: changed among themselves, because nothing says which pronoun is right."""

_KNOWN = "|".join(sorted({*HERS, *HIS, *EITHER}, key=len, reverse=True))
_NAME = re.compile(rf"(?<!San )(?<!Santa )(?<!St\. )(?<!Lake )\b(?:{_KNOWN})\b(?!['’]s [A-Z])")
_VERB = re.compile(r"\b(?:Will|Mark|Bill|Pat) (?:the|he|she|it|they|there|your|each|all)\b")
"""A name that is a verb here."""


def names(example: Example, random: random.Random) -> Example:
    """Every known first name changed for another one, alike in question, solution and answer. Keeps the answer.

    Women's names become women's and men's become men's, so that pronouns stay right. Where the answer is itself a name,
    the answer changes with it. A question is returned as it is where it has no known name, or where a name stays behind
    in another form (sam, Sammy), so that nobody would know who that is.
    """
    whole = f"{example.question} {example.solution} {example.answer}"
    found = list(dict.fromkeys(m.group() for m in _NAME.finditer(example.question)))
    if not found or _VERB.search(whole):
        return example
    taken = set(re.findall(r"\w+", whole))
    new: dict[str, str] = {}
    for name in found:
        group = next(names for names in (HERS, HIS, EITHER) if name in names)
        free = [other for other in group if other not in taken and other != "Will"]
        if not free:
            return example
        new[name] = random.choice(free)
        taken.add(new[name])
    if any(_is_form_of(word, name) for word in set(re.findall(r"\w+", whole)) for name in found):
        return example

    def renamed(part: str) -> str:
        return re.sub(rf"\b(?:{'|'.join(new)})\b", lambda m: new[m.group()], part)

    return replace(example, question=renamed(example.question), solution=renamed(example.solution),
                   answer=renamed(example.answer))  # fmt: skip


def _is_form_of(word: str, name: str) -> bool:
    """Whether a word that is not the name may stand for it: in other letters, short for it, or longer."""
    if word == name or len(word) < 3:
        return False
    if word.casefold() == name.casefold():
        return True
    return word[0].isupper() and (name.startswith(word) or word.startswith(name))
