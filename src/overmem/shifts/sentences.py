"""Sentence splitting, for the shifts that move or insert sentences."""

import re
from typing import NamedTuple

_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!Mrs\.)(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\"'(\d$])"
)
_OPTION = re.compile(r"\s*(?:\(?[A-J1-9][).:]|(?:answer|option|choice)\s*[A-J1-9]?\s*:)", re.IGNORECASE)


class Question(NamedTuple):
    """The parts of a question, which concatenated give the question."""

    sentences: list[str]
    """The sentences; the last one contains the question mark, if there is one."""
    gaps: list[str]
    """The whitespace after each sentence."""
    choices: str
    """The text after the sentences: the answer choices of a multiple-choice question."""


def sentences(text: str) -> list[str]:
    """The sentences of `text`, stripped.

    >>> sentences("Mr. Lee has 2.5 kg. He eats 1 kg! How much is left?")
    ['Mr. Lee has 2.5 kg.', 'He eats 1 kg!', 'How much is left?']
    """
    return [part for part in _END.split(text.strip()) if part]


def split_question(question: str) -> Question:
    r"""The sentences of a question, the whitespace after each, and its answer choices.

    >>> tuple(split_question("Ann is here.  Who is not?\nA) Ann\nB) Bob"))
    (['Ann is here.', 'Who is not?'], ['  ', ''], '\nA) Ann\nB) Bob')
    """
    lines = question.splitlines(keepends=True)
    non_option_lines = [i for i, line in enumerate(lines) if not _OPTION.match(line)]
    question_lines = [i for i in non_option_lines if "?" in lines[i]] or non_option_lines[:1]
    body = "".join(lines[: question_lines[-1] + 1]) if question_lines else question
    text = body.rstrip()
    ends = [m.span() for m in _END.finditer(text)]
    starts = [0, *(end for _, end in ends)]
    parts = [text[start:stop] for start, stop in zip(starts, [*(s for s, _ in ends), len(text)], strict=True)]
    gaps = [*(text[start:end] for start, end in ends), ""]
    last = max((i for i, part in enumerate(parts) if "?" in part), default=len(parts) - 1)
    rest = "".join(part + gap for part, gap in zip(parts[last + 1 :], gaps[last + 1 :], strict=True))
    choices = (gaps[last] + rest if rest else "") + body[len(text) :] + question[len(body) :]
    return Question(parts[: last + 1], [*gaps[:last], ""], choices)
