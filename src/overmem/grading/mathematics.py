"""Mathematical answers: extract one from a line, and decide whether two have the same value.

Plain numbers are compared here, exactly. Anything else goes to math-verify (imported only when needed, because it
imports SymPy, which is slow), unless evaluating it might not terminate.
"""

import logging
import re
import threading
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from overmem.grading.arithmetic import arithmetic_value
from overmem.grading.values import values

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = rf"[-+−]?\s?(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_PLAIN = re.compile(rf"(?P<top>{_NUMBER})(?:e(?P<ten>[-+]?\d{{1,2}}))?(?:\s*/\s*(?P<bottom>{_DIGITS}))?", re.I)
_FRACTION = re.compile(r"([-+−]?)\s*\\[dt]?frac\s*\{\s*(-?\d{1,30})\s*\}\s*\{\s*(\d{1,30})\s*\}")
_IN_PROSE = re.compile(rf"(?<![a-zA-Z0-9_.)])[-−]?[$€£]?(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:/\d+)?(?![\d])")
_DECORATION = re.compile(r"\\[!,;: ]|\\left(?![a-z])|\\right(?![a-z])|\\?\$|[€£*`~]|\\\(|\\\)|\\\[|\\\]")
_UNIT = re.compile(
    r"\s*(?:\\?%|\^?\s*\{?\\circ\}?|°|\\(?:text|mbox|mathrm)\s*\{[^{}]*\}|(?<=\s)[a-zA-Z][a-zA-Z .²³/-]*)$"
)
_WORD = re.compile(
    r"[\u4e00-\u9fff]|(?<![\\a-zA-Z])[a-zA-Z]{3,}|\b(?:so|is|it|of|to|he|we|in|as|at|by|or|no|if|an|on|be)\b"
)
_VARIABLE = re.compile(r"(?<![a-zA-Z\\])[b-zB-Z](?![a-zA-Z])")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf)\s*\{[^{}]*\}")
_WRAPPED = re.compile(r"^\s*\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*)\}\s*$")
_NAMED = re.compile(r"^\s*[a-zA-Z]\w?\s*=\s*(?=[^=]+$)")
_DELIMITED = re.compile(r"\$\$(.+?)\$\$|\$([^$]*[\\^_={}][^$]*|[^$\s]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.S)
_SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|\n")
# Too expensive to evaluate: five-digit exponents, powers of powers, large factorials, binomials, sums, long numbers.
_EXPENSIVE = re.compile(
    r"(?:\^|\*\*)\s*[({]*\s*-?[\d,.]{5,}|(?:\^|\*\*)[^+\-=]{0,40}?(?:\^|\*\*)|\d{4,}\s*\)*!|!\s*\)*!"
    r"|\\(?:sum|prod|int|lim|iint|binom|[dt]binom|Gamma)|\\?(?:choose|factorial)|\d{60,}"
)
_MAX_LENGTH = 300


def read(tail: str) -> str:
    """The mathematical answer at the start of `tail`; a plain number without separators, symbols and units."""
    tail = tail.strip()[:1000]
    if delimited := _DELIMITED.match(tail.lstrip("*: ")):
        inside = next(group for group in delimited.groups() if group is not None)
        return canonical(inside.strip())
    line = _SENTENCE_END.split(tail)[0].strip(" *:`\"'")
    if not line:
        return ""
    if (value := canonical(line)) != line or number(line) is not None:
        return value
    if values(line):
        return line
    if "=" in line and not _VARIABLE.search(line) and number(last := line.rpartition("=")[2]) is not None:
        return canonical(last)
    if _words(line) and (match := _IN_PROSE.search(line)):
        return canonical(match[0])
    return line if len(line) <= _MAX_LENGTH and len(_words(line)) <= 3 else ""


def last_value(text: str) -> str:
    """The last number of a text without a marked answer; if the text is a single expression, that expression."""
    text = text.strip()
    if "\n" not in text and len(text) <= 100 and (number(text) is not None or not _words(text)):
        return read(text)
    numbers: list[str] = _IN_PROSE.findall(text)
    return canonical(numbers[-1]) if numbers else ""


@lru_cache(maxsize=65536)
def number(text: str) -> Fraction | None:
    """The value of a plain number or fraction, ignoring units and currency; None if `text` is anything else.

    >>> number("$1,234.50"), number("50%"), number("3/4 of a mile"), number("two")
    (Fraction(2469, 2), Fraction(50, 1), Fraction(3, 4), None)
    """
    if len(text) > 100:
        return None
    cleaned = _clean(_WRAPPED.sub(r"\1", text))
    if ratio := _FRACTION.fullmatch(cleaned):
        sign = -1 if ratio[1] in ("-", "−") else 1
        return sign * Fraction(int(ratio[2]), int(ratio[3])) if int(ratio[3]) else None
    plain = _PLAIN.fullmatch(cleaned)
    if plain is None:
        return None
    value = Fraction(_ascii(plain["top"]))
    if plain["ten"]:
        value *= Fraction(10) ** int(plain["ten"])
    if plain["bottom"]:
        bottom = int(_ascii(plain["bottom"]))
        return value / bottom if bottom else None
    return value


def canonical(text: str) -> str:
    """A plain number without symbols and trailing zeros, so that equal answers are equal text; other text unchanged."""
    if number(text) is None:
        return text
    cleaned = _clean(text)
    if _FRACTION.fullmatch(cleaned):
        return cleaned
    digits = re.sub(r"\s", "", _ascii(cleaned)).lstrip("+")
    if re.fullmatch(r"-?\d*\.\d+", digits):
        digits = digits.rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0+(?=\d)", r"\1", digits) or "0"


def equal(answer: str, gold: str) -> bool:
    """Whether two answers have the same value.

    Integers are compared exactly, other plain numbers to a relative 1e-9 (rounding of floating point), so are sums and
    products of plain numbers; other expressions by math-verify. An expression that is too expensive to evaluate is
    equal only to the same text.
    """
    if (answer_values := _evaluated(answer)) and (gold_values := _evaluated(gold)):
        return agree(answer_values, gold_values)
    if (values(answer) or number(answer) is not None) and (values(gold) or number(gold) is not None):
        return same(answer, gold)
    return same(answer, gold) or _verified(answer.strip(), gold.strip())


def _evaluated(text: str) -> tuple[Fraction, ...]:
    """The values that a number or an expression of plain numbers may have; empty for any other text."""
    value = None if (spelled := values(text)) else arithmetic_value(text)
    return spelled if value is None else (value,)


def agree(values: Sequence[Fraction], gold_values: Sequence[Fraction]) -> bool:
    """Whether a possible value of one text equals one of the other: integers exactly, others to a relative 1e-9."""
    return any(
        a == b if a.denominator == b.denominator == 1 else abs(a - b) <= abs(b) / 10**9
        for a in values
        for b in gold_values
    )


def same(answer: str, gold: str) -> bool:
    """Whether two answers are plain numbers of the same value, or the same text up to spaces and delimiters."""
    if (answer_values := values(answer)) and (gold_values := values(gold)):
        return agree(answer_values, gold_values)
    left, right = number(answer), number(gold)
    if left is None or right is None:
        return _bare(answer) == _bare(gold) != ""
    return agree([left], [right])


@lru_cache(maxsize=65536)
def _verified(answer: str, gold: str) -> bool:
    """Whether math-verify finds the two equal; False without calling it if it might not terminate."""
    if max(len(answer), len(gold)) > _MAX_LENGTH or _EXPENSIVE.search(answer) or _EXPENSIVE.search(gold):
        return False
    if not re.search(r"[\d\\a-zA-Z]", answer) or (re.search(r"\d", gold) and len(_words(answer)) > 3):
        return False
    # math-verify's time limit uses a signal, which works in the main thread only.
    seconds = 3 if threading.current_thread() is threading.main_thread() else None
    verify = _math_verify()
    try:
        parsed = [verify.parse(f"${_unwrap(text)}$", parsing_timeout=seconds) for text in (gold, answer)]
        return bool(all(parsed) and verify.verify(*parsed, timeout_seconds=seconds))
    except Exception:  # parsers can raise anything on a model's text
        return False


@cache
def _math_verify() -> Any:
    import math_verify  # type: ignore[import-untyped]

    for name in ("math_verify.parser", "math_verify.grader", "math_verify.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it warns with and without a time limit
    return math_verify


def _words(text: str) -> list[str]:
    r"""The words of prose in `text`, without LaTeX commands and \text{...}."""
    return _WORD.findall(_TEXT.sub("", text))


def _clean(text: str) -> str:
    text = _NAMED.sub("", _DECORATION.sub("", text)).strip().rstrip(".").strip()
    return _UNIT.sub("", text).strip()


def _ascii(digits: str) -> str:
    return digits.replace(",", "").replace("−", "-").replace(" ", "")


def _bare(text: str) -> str:
    """Text without spaces, delimiters and LaTeX wrappers."""
    text = re.sub(r"\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = _DECORATION.sub("", text).replace("dfrac", "frac").replace("tfrac", "frac")
    text = re.sub(r"(?<=\d)\s+(?=\d)", "|", text)
    return re.sub(r"\s", "", text).rstrip(".").casefold()


def _unwrap(text: str) -> str:
    text = re.sub(r"\\[dt]?frac\s*(\\[a-z]+|\w)\s*(\\[a-z]+|\w)", r"\\frac{\1}{\2}", text)
    return re.sub(r"^\$+|\$+$|^\\[(\[]|\\[)\]]$", "", text.strip()).strip()
