"""A text as sentences: what the shifts that move or insert sentences share."""

import re

_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!Mrs\.)(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z\"'(\d$])"
)


def sentences(text: str) -> list[str]:
    """The sentences of `text`, each without the space around it.

    >>> sentences("Mr. Lee has 2.5 kg. He eats 1 kg! How much is left?")
    ['Mr. Lee has 2.5 kg.', 'He eats 1 kg!', 'How much is left?']
    """
    return [part for part in _END.split(text.strip()) if part]
