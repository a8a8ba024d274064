r"""Hedged claims mention a number or letter without giving it as the answer: "not 42", "42 or 43", "at least 42"."""

import re

_NUMBER = r"[-−]?[$€£¥]?\d[\d,.]*(?:\s*/\s*\d+)?%?"
_BEFORE = re.compile(
    r"(?:\b(?:not|never|isn't|cannot be|can't be|at least|at most|more than|less than|fewer than|greater than|over"
    r"|under|above|below|up to|no more than|no less than"
    r"|between|either|neither|anything but|other than|except|rather than"
    r"|somewhere around|maybe|perhaps|possibly|close to|nearly|almost)\b"
    r"|\\(?:ge|le|geq|leq|neq|ne|gt|lt)(?![a-z])|[≥≤≠<>]"
    r"|不是|不等于|并非|至少|至多|最多|最少|超过|不到|少于|多于|大于|小于|不足|除了|可能是|介于|不为)"
    rf"\s*(?:be |is |equal to |exactly |the |\$|\\\(|\\text\{{|是|\}})*\s*{_NUMBER}",
    re.I,
)
_RANGE = re.compile(
    rf"{_NUMBER}\s*(?:[a-zA-Z]+\s*)?(?:\\text\{{)?\s*(?:\bor\b|\bto\b|\bversus\b|或者?|还是|到|至|~|～|—)"
    rf"\s*\}}?\s*(?:maybe |even |perhaps )?{_NUMBER}"
    rf"|(?<![\d$]){_NUMBER}\s?[-–]\s?{_NUMBER}\s*(?:[a-z]|$)"
    rf"|{_NUMBER}\s*(?:or (?:more|less|fewer|so|higher|lower)\b|以上|以下|is (?:wrong|incorrect|not))",
    re.I,
)


_CONTRAST = re.compile(r"\s*[,，(;]?\s*(?:\b(?:and )?not\b|\brather than\b|\binstead of\b|而不是|不是|，不选)", re.I)


def without_contrast(claim: str) -> str:
    """The claim without the alternative that it rejects: "42, not 43" becomes "42"."""
    head = _CONTRAST.split(claim, maxsplit=1)[0]
    return head if re.search(r"\d|(?<![A-Za-z])[A-J](?![A-Za-z'])", head) else claim


def is_hedged(claim: str) -> bool:
    """Whether the claim bounds a number, rejects it, or offers several, instead of giving one."""
    claim = without_contrast(claim)
    return bool(_BEFORE.search(claim) or _RANGE.search(claim))


_LETTERS = r"[*(\[（【]*(?<![A-Za-z])[A-J][*)\]）】]*"
_TWO_LETTERS = re.compile(
    rf"{_LETTERS}\s*(?:and|or|&|/|,|、|和|或者?|与|还是|以及)"
    rf"\s*(?:also |maybe )?(?:option |choice )?{_LETTERS}(?![A-Za-z'])"
)
_NO_LETTER = re.compile(
    rf"(?i:\b(?:not|never|isn't|neither|anything but|other than|except(?: for)?|all but"
    rf"|eliminate|rule out|reject)\b"
    rf"|不选|不是|并非|除了|排除|不应选|不能选)\s*(?:option |choice |be |the |选项)?\s*({_LETTERS})(?![A-Za-z'])"
    rf"|({_LETTERS})\s*(?:is|are|was|选项|是)?"
    rf"\s*(?:not (?:right|correct)|incorrect|wrong|false|错误?的?|不对|不正确)"
)


def rejects_choice(claim: str, letter: str) -> bool:
    """Whether the claim rejects the letter that was read from it, or names two letters."""
    claim = without_contrast(claim)
    rejected = [first or second for first, second in _NO_LETTER.findall(claim)]
    return bool(_TWO_LETTERS.search(claim)) or any(letter in part for part in rejected)
