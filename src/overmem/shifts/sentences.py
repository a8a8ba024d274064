"""A text as sentences: what the shifts that move or insert sentences share."""

import re

_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!Mrs\.)(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\"'(\d$])"
)
_OPTION = re.compile(r"\s*(?:\(?[A-J1-9][).:]|(?:answer|option|choice)\s*[A-J1-9]?\s*:)", re.IGNORECASE)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, each without the space around it.

    >>> sentences("Mr. Lee has 2.5 kg. He eats 1 kg! How much is left?")
    ['Mr. Lee has 2.5 kg.', 'He eats 1 kg!', 'How much is left?']
    """
    return [part for part in _END.split(text.strip()) if part]


def story(question: str) -> tuple[list[str], list[str], str]:
    r"""The sentences of a question, the space after each, and what follows them: the choices, where it offers some.

    Joined again they are the question. The last sentence is the one that asks, if any does.

    >>> story("Ann is here.  Who is not?\nA) Ann\nB) Bob")
    (['Ann is here.', 'Who is not?'], ['  ', ''], '\nA) Ann\nB) Bob')
    """
    lines = question.splitlines(keepends=True)
    plain = [i for i, line in enumerate(lines) if not _OPTION.match(line)]
    asking = [i for i in plain if "?" in lines[i]] or plain[:1]
    told = "".join(lines[: asking[-1] + 1]) if asking else question
    kept = told.rstrip()
    ends = [m.span() for m in _END.finditer(kept)]
    starts = [0, *(end for _, end in ends)]
    parts = [kept[start:stop] for start, stop in zip(starts, [*(s for s, _ in ends), len(kept)], strict=True)]
    gaps = [*(kept[start:end] for start, end in ends), ""]
    asks = max((i for i, part in enumerate(parts) if "?" in part), default=len(parts) - 1)
    rest = "".join(part + gap for part, gap in zip(parts[asks + 1 :], gaps[asks + 1 :], strict=True))
    tail = (gaps[asks] + rest if rest else "") + told[len(kept) :] + question[len(told) :]
    return parts[: asks + 1], [*gaps[:asks], ""], tail
