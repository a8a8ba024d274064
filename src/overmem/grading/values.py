"""Numbers in their usual spellings: currency, percent, mixed numbers, words, scientific notation, Chinese numerals."""

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

_VULGAR = {c: unicodedata.normalize("NFKC", c).replace("⁄", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SIGNS = str.maketrans({"−": "-", "–": "-", "﹣": "-", "＋": "+"})
_SPACING = re.compile(
    r"\\[!,;: ]|\\left(?![a-z])|\\right(?![a-z])|\\\(|\\\)|\\\[|\\\]|[*`~]|\{,\}|\\displaystyle|\\quad"
)
_CURRENCY = re.compile(r"(?:US|A|C|HK)?\\?\$|[€£¥₹]|\b(?:USD|EUR|GBP|RMB|CNY|Rs\.?)(?=[\s\d]|$)|人民币")
_DIGITS = r"(?:\d{1,3}(?:[, '’]\d{3})+|\d+)(?:\.\d+)?|\.\d+"
_PERCENT = re.compile(r"\s*(?:\\?%|percent|per cent|个百分点)\s*$")
_TEN = re.compile(rf"({_DIGITS})\s*(?:\\times|\\cdot|×|x|·|⋅)?\s*10\s*\^\s*\{{?\s*\(?(-?\d{{1,3}})\)?\s*\}}?")
_MIXED = re.compile(r"(\d+)(?:\s+and\s+|\s+|\s*又\s*)(\d+)\s*(?:/|分之)\s*(\d+)")
_FRAC = r"\\[dtc]?frac\s*(?:\{\s*(-?\d{1,30})\s*\}|(\d))\s*(?:\{\s*(\d{1,30})\s*\}|(\d))"
_LATEX = re.compile(rf"(\d*)\s*{_FRAC}")
_RATIO = re.compile(rf"({_DIGITS})\s*/\s*({_DIGITS})")
_PLAIN = re.compile(rf"({_DIGITS})(?:e([-+]?\d{{1,2}}))?", re.I)
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "万": 10**4,
    "亿": 10**8,
    "千": 1000,
    "百万": 10**6,
    "dozen": 12,
}
_SCALED = re.compile(rf"({_DIGITS})\s*({'|'.join(sorted(_SCALES, key=len, reverse=True))})")
_METRIC = (
    r"(?:(?<=\d)|(?<=\s))(?:[cmk]?m|[mk]?g|lbs?|oz|ft|in|mi|yd|m[sl]|[shlLJNWVA]|kmh|mph|kW|[KMG]B|Hz|am|pm|[ap]\.m)"
)
_NO_UNIT = "factorial|choose|mod|squared|cubed|pi|log|ln|sin|cos|tan|sqrt|root|times|plus|minus|or|and|to|base"
_NO_UNIT += "|hundred|thousand|million|billion|dozen|half"
_UNIT = re.compile(
    r"(?:\^?\s*\{?\\circ\}?\s*[CF]?|°\s*[CF]?|\\(?:text|mbox|mathrm)\s*\{[^{}]*\}(?:\s*\^\s*\{?\d\}?)?"
    rf"|(?:{_METRIC}|\s(?!(?:\w+ )*(?:{_NO_UNIT})\b)(?:[a-zA-Z]{{2}}[a-zA-Z .]*?))(?:\s*/\s*[a-zA-Z]+| per [a-zA-Z ]+)?"
    r"(?:\s*\^\s*\{?-?\d\}?)?"
    r"|(?:平方|立方)?(?:厘米|分米|千米|毫米|米|公里|千克|公斤|克|吨|升|毫升)|小时|分钟|秒|块钱|元钱|美元|元|块|角|度"
    r"|[个只条本支天年岁次人种辆棵件名位头张页题道套组倍把瓶盒箱袋斤杯份枚朵双](?:苹果|学生|人|月|小时|球|书)?)$"
)
_WRAPPED = re.compile(r"^\s*\\(?:text|mbox|mathrm|textbf)\s*\{([^{}]*)\}\s*$")
_LEADING = re.compile(
    r"^(?:[a-zA-Z]\w?|\\[a-z]+|[a-zA-Z]\([a-z]\))\s*(?:=|≈|\\approx)\s*|^(?:=|≈|\\approx|about|approximately|exactly|约等于|大约|约|共|一共|有|是|为|等于)\s*",
    re.I,
)
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_HAN = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_HAN_SCALES = {"十": 10, "百": 100, "千": 1000}


@lru_cache(maxsize=65536)
def values(text: str) -> tuple[Fraction, ...]:
    """The values that a number in any usual spelling may have; empty if it is not a number.

    A percentage has two, the number and a hundredth of it, because reference answers use either.

    >>> values("2 1/2 hours"), values("30%"), values("百分之三十"), values("forty-two")
    ((Fraction(5, 2),), (Fraction(30, 1), Fraction(3, 10)), (Fraction(30, 1), Fraction(3, 10)), (Fraction(42, 1),))
    """
    if len(text) > 120:
        return ()
    text = _WRAPPED.sub(r"\1", text)
    for character, fraction in _VULGAR.items():
        text = text.replace(character, f" {fraction}")
    text = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda m: f"10^{m[1].translate(_SUPERSCRIPTS)}", text)
    text = text.replace("²", "^2").replace("³", "^3")
    cleaned = _SPACING.sub("", unicodedata.normalize("NFKC", text).translate(_SIGNS)).strip().rstrip(" .。,")
    while (shorter := _LEADING.sub("", cleaned.strip("$ "))) != cleaned:
        cleaned = shorter
    cleaned = _CURRENCY.sub("", cleaned).strip()
    sign = 1
    if match := re.match(r"(?:-|负|minus |negative )\s*", cleaned, re.I):
        sign, cleaned = -1, cleaned[match.end() :]
    cleaned = re.sub(r"^\+\s*", "", cleaned)
    is_percentage = bool(_PERCENT.search(cleaned)) or cleaned.startswith("百分之")
    cleaned = _PERCENT.sub("", cleaned).removeprefix("百分之")
    value = _value(cleaned)
    if value is None and not is_percentage and (unit := _UNIT.search(cleaned)) and unit.start():
        value = _value(_CURRENCY.sub("", cleaned[: unit.start()]).strip())
    if value is None:
        return ()
    return (sign * value, sign * value / 100) if is_percentage else (sign * value,)


def _value(text: str) -> Fraction | None:
    text = text.strip()
    if m := _TEN.fullmatch(text):
        return _decimal(m[1]) * Fraction(10) ** int(m[2])
    if m := _MIXED.fullmatch(text):
        top, bottom = (int(m[3]), int(m[2])) if "分之" in text else (int(m[2]), int(m[3]))
        return int(m[1]) + Fraction(top, bottom) if bottom else None
    if m := _LATEX.fullmatch(text):
        bottom = int(m[4] or m[5])
        return int(m[1] or 0) + Fraction(int(m[2] or m[3]), bottom) if bottom else None
    if (m := _RATIO.fullmatch(text)) and _decimal(m[2]):
        return _decimal(m[1]) / _decimal(m[2])
    if m := _SCALED.fullmatch(text):
        return _decimal(m[1]) * _SCALES[m[2]]
    if m := _PLAIN.fullmatch(text):
        return _decimal(m[1]) * Fraction(10) ** int(m[2] or 0)
    return _english(text.casefold()) if text.isascii() else _chinese(text)


def _decimal(digits: str) -> Fraction:
    return Fraction(re.sub(r"[, '’]", "", digits))


def _english(text: str) -> Fraction | None:
    words = text.replace("-", " ").replace(" and a ", " and one ").split()
    if len(words) >= 2 and words[-1].rstrip("s").replace("halve", "half") in _PARTS:
        bottom = _PARTS[words[-1].rstrip("s").replace("halve", "half")]
        whole, _, top = " ".join(words[:-1]).rpartition(" and ")
        parts = [_english(part) if part not in ("a", "an") else Fraction(1) for part in (whole, top) if part]
        parsed = [part for part in parts if part is not None]
        return sum(parsed[:-1], Fraction(0)) + parsed[-1] / bottom if len(parsed) == len(parts) else None
    total, group = 0, 0
    for word in [w for w in words if w != "and"]:
        if word in _ONES:
            group += _ONES.index(word)
        elif word in _TENS:
            group += 20 + 10 * _TENS.index(word)
        elif word == "hundred":
            group = max(1, group) * 100
        elif word in ("thousand", "million", "billion"):
            total, group = total + max(1, group) * _SCALES[word], 0
        else:
            return None
    return Fraction(total + group) if words else None


def _chinese(text: str) -> Fraction | None:
    if "分之" in text:
        bottom, _, top = text.partition("分之")
        low, high = _chinese(bottom) or _digits(bottom), _chinese(top) or _digits(top)
        return high / low if low and high is not None else None
    if text in ("一半", "半"):
        return Fraction(1, 2)
    total, group, digit = 0, 0, 0
    for character in text:
        if character in _HAN:
            digit = _HAN[character]
        elif character in _HAN_SCALES:
            group, digit = group + (digit or 1) * _HAN_SCALES[character], 0
        elif character in ("万", "亿"):
            total, group, digit = (total + group + digit) * _SCALES[character], 0, 0
        else:
            return None
    return Fraction(total + group + digit) if text else None


def _digits(text: str) -> Fraction | None:
    return Fraction(text) if text.isdecimal() else None
