r"""Answers: extract the final answer from a text and compare it with the reference. Text is never executed.

Three kinds of answer: `math` (numbers and expressions, equal if they have the same value), `choice` (a letter) and
`exact` (the same words). A text marks its answer with `####`, `\boxed{}`, `<answer>` or "the answer is". The last
mark counts, because worked solutions restate their answer; "the answer is" counts only without any other mark. These
functions never raise, whatever the text.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from overmem.grading import mathematics
from overmem.grading.grade import Grade
from overmem.grading.hedges import is_hedged, rejects_choice
from overmem.grading.values import values
from overmem.records import Example

_MARK = re.compile(
    r"(?P<hash>####)|(?P<tag><answer>)|(?P<box>\\(?:boxed|fbox)\s*(?:\{|(?=\w)))"
    r"|(?P<say>(?:\bthe\s+)?(?:\b(?:final|correct)\s+)?\b(?:answer|(?:correct|right|best) (?:option|choice))\b[*_]*\s*"
    r"(?:is\b(?!\s*(?:in)?(?:correct|right|wrong)\b)\s*[:：]?|[:=：])"
    r"|答案\s*(?:应该|应当|应|就|只能)?\s*(?:约?等于|约为|约是|是|为|选|[:：=])\s*[:：]?|(?:^|(?<=[\s。；，,]))答\s*[:：])",
    re.I,
)
_NEXT_QUESTION = re.compile(r"\n\s*(?:#+ *)?(?:Question|Problem|Instruction|Q|User|Human)\s*:", re.I)
_HEADING = re.compile(r"\s*[*_]*(?:step|part|case)\b|\s*[*_]*[a-z][a-z ]*:", re.I)
_CLOSING_TAG = re.compile(r"</?answer>", re.I)
_LETTER = re.compile(r"[(（【\[]([A-Ja-j])[)）】\]]|(?<![A-Za-z])([A-J])(?![A-Za-z'])")
_CHOSEN = re.compile(r"(?:选择?|选项)\s*[(（【]?\s*([A-J])(?![A-Za-z])|(?<![A-Za-z])([A-J])\s*(?:选项|项|是正确|正确)")
_LONE_LETTER = re.compile(r"\s*[*(\[【]*([A-Ja-j])[*)\]】]*[.:。]?\s*")
_BARE_BOX = re.compile(r"-?[\d.,]*\d|.", re.S)  # "\\boxed 42"
_IDENTITY = re.compile(r"[\w'-]+ is (?:an? )?[\w-]+")
_BETWEEN_IDENTITIES = re.compile(r"[,;\n]|\.\s|\band\b|\(\d+\)|\b\d+[.)]", re.I)


@dataclass(frozen=True)
class _Kind:
    read: Callable[[str], str]
    """The answer in the text after a mark; empty if there is none."""
    bounded: Callable[[str], str]
    """The answer in a mark that has an end (`\\boxed{...}`)."""
    unmarked: Callable[[str], str]
    """The answer of a text without a mark; empty if there is none."""
    same: Callable[[str, str], bool]
    """A cheap test whether two answers are the same."""
    equal: Callable[[str, str], bool]
    """Whether two answers are equal."""


def answer_in(text: str, kind: str = "math", *, after: str = "") -> str:
    """The final answer in `text`; empty if there is none.

    Without a mark it is the last number, the last letter in brackets, or the last line. Text from the start of a next
    question (written by a base model that does not stop) is ignored.

    Args:
        text: a worked solution or a completion; any text.
        kind: `math`, `choice` or `exact`; any other is read like `exact`.
        after: a mark that is specific to the data, tried before the usual ones.
    """
    rules = _rules(kind)
    return marked_answer(text, kind, after=after) or rules.unmarked(_first_reply(text)).strip()


def marked_answer(text: str, kind: str = "math", *, after: str = "") -> str:
    """The answer after the last mark in `text`; empty if no mark is followed by an answer."""
    rules = _rules(kind)
    text = _first_reply(text)
    if after and after in text:
        tail = _MARK.split(text.rpartition(after)[2], maxsplit=1)[0]
        if answer := rules.read(tail).strip():
            return answer
    for tail, is_bounded in _tails(text):
        if answer := (rules.bounded if is_bounded else rules.read)(tail).strip():
            return answer
    return ""


def is_correct(text: str, gold: str, kind: str = "math", *, after: str = "") -> bool:
    r"""Whether `text`, an answer or a text that contains one, gives the answer `gold`.

    >>> is_correct("She sold 48+24 = 72 clips.", "72"), is_correct(r"\frac{1}{2}", "0.5"), is_correct("", "0")
    (True, True, False)

    Args:
        text: an answer or a completion.
        gold: the reference answer.
        kind: `math`, `choice` or `exact`; any other is read like `exact`.
        after: a mark that is specific to the data, tried before the usual ones.
    """
    rules = _rules(kind)
    if not text.strip() or not gold.strip():
        return False
    if rules.same(text, gold) and not _MARK.search(text):
        return True
    answer = answer_in(text, kind, after=after)
    claim = unicodedata.normalize("NFKC", claim_in(text, kind, after=after))
    if kind == "math" and is_hedged(claim) and not is_hedged(gold):
        return False
    if kind == "choice" and rejects_choice(claim, answer):
        return False
    if kind == "math" and (claim_values := values(claim)) and (gold_values := values(gold)):
        return mathematics.agree(claim_values, gold_values)
    return bool(answer) and rules.equal(answer, gold)


def claim_in(text: str, kind: str = "math", *, after: str = "") -> str:
    """The sentence that gives the answer, unchanged: after the last mark, or else the last one with any content."""
    reply = _first_reply(text)
    if after and after in reply:
        return _MARK.split(reply.rpartition(after)[2], maxsplit=1)[0].strip().partition("\n")[0]
    for tail, is_bounded in _tails(reply):
        if (_rules(kind).bounded if is_bounded else _rules(kind).read)(tail).strip():
            return _sentence(tail)
    content = r"\d" if kind == "math" else r"\S"
    lines = [line for line in re.split(r"\n|(?<=[.!?])\s+|(?<=[。！？])", reply) if re.search(content, line)]
    return lines[-1].strip() if lines else reply.strip()[:200]


def _sentence(tail: str) -> str:
    return re.split(r"\n|(?<=[.!?])\s+(?=[A-Z])|[。！？；]", tail.strip())[0].strip(" *:：").rstrip(" .")


def math(text: str, example: Example) -> Grade:
    """Numbers and expressions, right if they have the value of the reference answer.

    Source: math-verify, https://github.com/huggingface/Math-Verify, for everything but plain numbers.
    """
    return _grade(text, example, "math")


def choice(text: str, example: Example) -> Grade:
    """A letter, right if it is that of the reference answer.

    Source: this package.
    """
    return _grade(text, example, "choice")


def exact(text: str, example: Example) -> Grade:
    """Words, right if they are those of the reference answer, ignoring case, spaces, quotes and a final period.

    Source: this package.
    """
    return _grade(text, example, "exact")


def _grade(text: str, example: Example, kind: str) -> Grade:
    if is_correct(text, example.answer, kind):
        return Grade("right", _KINDS[kind].bounded(example.answer).strip() or example.answer)
    return Grade("wrong", answer_in(text, kind))


def normalize_words(text: str) -> str:
    """`text` normalized for `exact`: case, whitespace, quotes, final period and order of lists.

    Only lists of identities are sorted ("Zoey is a knight, and Ethan is a knave", or numbered lines).
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    parts = [" ".join(part.split()).strip(" .*") for part in _BETWEEN_IDENTITIES.split(folded)]
    parts = [part for part in parts if part]
    if len(parts) > 1 and all(_IDENTITY.fullmatch(part) for part in parts):
        return "; ".join(sorted(parts))
    return " ".join(folded.split()).strip(" .\"'`*。“”‘’「」《》$")


def _rules(kind: str) -> _Kind:
    return _KINDS.get(kind, _KINDS["exact"])  # other graders read completions themselves


def _first_reply(text: str) -> str:
    """`text` up to the start of a further question."""
    next_question = _NEXT_QUESTION.search(text.lstrip())
    return text.lstrip()[: next_question.start()] if next_question else text


def _tails(text: str) -> Iterator[tuple[str, bool]]:
    """The text after each mark and whether the mark has an end, the last mark first."""
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    reverse = list(zip(marks, ends, strict=False))[::-1]
    # Phrases come after all other marks: a box is often followed by "we may check our answer: ...".
    for mark, end in sorted(reverse, key=lambda pair: bool(pair[0]["say"])):
        tail = re.sub(r"^[*_]+", "", text[mark.end() : end])  # "**Answer:**"
        if mark["box"]:
            yield (_balanced(text[mark.end() :]) if mark[0].endswith("{") else _bare_box(tail)), True
        elif mark["tag"]:
            yield _CLOSING_TAG.split(tail)[0], True
        elif mark["hash"]:
            if not _HEADING.match(tail):
                yield tail.strip().partition("\n\n")[0], False
        else:
            yield (tail if _numbered(tail) else tail.strip().partition("\n")[0]), False


def _balanced(tail: str) -> str:
    """`tail` up to the brace that closes the one before it; empty if there is none."""
    depth = 1
    for position, character in enumerate(tail):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return tail[:position]
    return ""


def _bare_box(tail: str) -> str:
    r"""The content of a box without braces: `\boxed 42`."""
    match = _BARE_BOX.match(tail)
    return match[0] if match else ""


def _numbered(tail: str) -> bool:
    return bool(re.match(r"\s*(?:\(1\)|1[.)]|[-•])\s", tail))


def _read_choice(tail: str) -> str:
    tail = unicodedata.normalize("NFKC", tail)
    line = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", tail.strip().partition("\n")[0])
    if lone := _LONE_LETTER.fullmatch(line):
        return lone[1].upper()
    match = _LETTER.search(line)
    return (match[1] or match[2]).upper() if match else ""


def _unmarked_choice(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    if lone := _LONE_LETTER.fullmatch(text):
        return lone[1].upper()
    if chosen := _CHOSEN.findall(text):
        return str(chosen[-1][0] or chosen[-1][1])
    bracketed: list[str] = re.findall(r"\(([A-Ja-j])\)", text)
    # "A" and "I" in prose are words; at the start of a line, before a period or bracket, they are choices.
    listed: list[str] = bracketed or re.findall(r"^\s*\**([A-J])[.):]", text, re.M) or re.findall(r"\b([B-HJ])\b", text)
    return listed[-1].upper() if listed else ""


def _read_exact(tail: str) -> str:
    tail = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", tail)
    return tail.strip().partition("\n\n")[0].strip(" .\"'`*\n")


def _unmarked_exact(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return _read_exact(lines[-1]) if lines else ""


def _same_letter(answer: str, gold: str) -> bool:
    are_letters = _LONE_LETTER.fullmatch(answer) and _LONE_LETTER.fullmatch(gold)
    return bool(are_letters) and answer.strip("*()[].: \n").upper() == gold.strip("*()[].: \n").upper()


def _same_words(answer: str, gold: str) -> bool:
    """Whether the words are the same; a label ("answer1", "yes") may be followed by an explanation."""
    words, gold_values = normalize_words(answer), normalize_words(gold)
    if re.fullmatch(r"[a-z]+\d+|yes|no|true|false|是|否|对|错", gold_values):
        words = re.split(r"[:：,，.;。(（]|\s+because\b|\s+-\s", words)[0].strip()
    return words == gold_values or re.sub(r"^(?:the|an?) ", "", words) == re.sub(r"^(?:the|an?) ", "", gold_values)


_KINDS: dict[str, _Kind] = {
    "math": _Kind(mathematics.read, mathematics.canonical, mathematics.last_value, mathematics.same, mathematics.equal),
    "choice": _Kind(_read_choice, _read_choice, _unmarked_choice, _same_letter, _same_letter),
    "exact": _Kind(_read_exact, _read_exact, _unmarked_exact, _same_words, _same_words),
}
"""Kind of answer -> how it is read and compared."""
