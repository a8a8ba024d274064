r"""Answers: read the final value out of a text, and say whether it is right. Text is data: it is never executed.

Three kinds of answer: `math` (numbers and expressions, equal when they have the same value), `choice` (a letter) and
`exact` (the same words). A text marks its answer with `####`, `\boxed{}`, `<answer>` or "the answer is". The last
mark counts, because worked solutions restate, and words only where there is no other mark. Whatever a model writes,
these functions return; they never raise.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from overmem.grading import mathematics
from overmem.grading.grade import Grade
from overmem.grading.hedges import is_hedged, is_no_choice
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
    """The answer in what follows a mark; empty if there is none."""
    whole: Callable[[str], str]
    """The answer where the mark says where it ends (`\\boxed{...}`)."""
    unmarked: Callable[[str], str]
    """The answer of a text without a mark; empty if there is none."""
    same: Callable[[str, str], bool]
    """Whether two texts are the same answer at first sight, cheaply."""
    equal: Callable[[str, str], bool]


def answer_in(text: str, kind: str = "math", *, after: str = "") -> str:
    """The final answer that `text` gives, or the empty string where it gives none.

    A text without a mark is read leniently: its last number, its last letter in brackets, its last line. What follows
    the beginning of a next question (a base model that goes on writing) is left out.

    Args:
        text: A worked solution or a completion; anything.
        kind: `math`, `choice` or `exact`; that of any other grader is read as `exact`.
        after: A mark of the data's own, tried before the usual ones.
    """
    rules = _rules(kind)
    return marked_answer(text, kind, after=after) or rules.unmarked(_first_reply(text)).strip()


def marked_answer(text: str, kind: str = "math", *, after: str = "") -> str:
    """The answer after the last mark in `text`, or the empty string where no mark is followed by an answer."""
    rules = _rules(kind)
    text = _first_reply(text)
    if after and after in text:
        tail = _MARK.split(text.rpartition(after)[2], maxsplit=1)[0]
        if found := rules.read(tail).strip():
            return found
    for tail, bounded in _tails(text):
        if found := (rules.whole if bounded else rules.read)(tail).strip():
            return found
    return ""


def is_correct(given: str, gold: str, kind: str = "math", *, after: str = "") -> bool:
    r"""Whether `given`, an answer or a whole text that contains one, is the answer `gold`.

    >>> is_correct("She sold 48+24 = 72 clips.", "72"), is_correct(r"\frac{1}{2}", "0.5"), is_correct("", "0")
    (True, True, False)
    """
    rules = _rules(kind)
    if not given.strip() or not gold.strip():
        return False
    if rules.same(given, gold) and not _MARK.search(given):
        return True
    read = answer_in(given, kind, after=after)
    claim = unicodedata.normalize("NFKC", claim_in(given, kind, after=after))
    if kind == "math" and is_hedged(claim) and not is_hedged(gold):
        return False
    if kind == "choice" and is_no_choice(claim, read):
        return False
    if kind == "math" and (ours := values(claim)) and (theirs := values(gold)):
        return mathematics.agree(ours, theirs)
    return bool(read) and rules.equal(read, gold)


def claim_in(text: str, kind: str = "math", *, after: str = "") -> str:
    """The sentence that gives the answer, as it is written: after the last mark, else the last one that holds any."""
    reply = _first_reply(text)
    if after and after in reply:
        return _MARK.split(reply.rpartition(after)[2], maxsplit=1)[0].strip().partition("\n")[0]
    for tail, bounded in _tails(reply):
        if (_rules(kind).whole if bounded else _rules(kind).read)(tail).strip():
            return _sentence(tail)
    holds = r"\d" if kind == "math" else r"\S"
    lines = [line for line in re.split(r"\n|(?<=[.!?])\s+|(?<=[。！？])", reply) if re.search(holds, line)]
    return lines[-1].strip() if lines else reply.strip()[:200]


def _sentence(tail: str) -> str:
    return re.split(r"\n|(?<=[.!?])\s+(?=[A-Z])|[。！？；]", tail.strip())[0].strip(" *:：").rstrip(" .")


def math(text: str, example: Example) -> Grade:
    """Numbers and expressions, right when they have the value of the reference answer.

    Source: math-verify, https://github.com/huggingface/Math-Verify, for all that is no plain number.
    """
    return _grade(text, example, "math")


def choice(text: str, example: Example) -> Grade:
    """A letter, right when it is that of the reference answer.

    Source: this package.
    """
    return _grade(text, example, "choice")


def exact(text: str, example: Example) -> Grade:
    """Words, right when they are those of the reference answer but for case, spaces, quotes and a final stop.

    Source: this package.
    """
    return _grade(text, example, "exact")


def _grade(text: str, example: Example, kind: str) -> Grade:
    if is_correct(text, example.answer, kind):
        return Grade("right", _KINDS[kind].whole(example.answer).strip() or example.answer)
    return Grade("wrong", answer_in(text, kind))


def normalised(text: str) -> str:
    """`text` without differences that do not matter to `exact`: case, white space, quotes, final stop, list order.

    Only a list of identities ("Zoey is a knight, and Ethan is a knave", or numbered lines) loses its order.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    parts = [" ".join(part.split()).strip(" .*") for part in _BETWEEN_IDENTITIES.split(folded)]
    parts = [part for part in parts if part]
    if len(parts) > 1 and all(_IDENTITY.fullmatch(part) for part in parts):
        return "; ".join(sorted(parts))
    return " ".join(folded.split()).strip(" .\"'`*。“”‘’「」《》$")


def _rules(kind: str) -> _Kind:
    return _KINDS.get(kind, _KINDS["exact"])  # any other grader reads completions itself, and solutions are text to it


def _first_reply(text: str) -> str:
    """`text` up to where it begins to ask a question of its own."""
    again = _NEXT_QUESTION.search(text.lstrip())
    return text.lstrip()[: again.start()] if again else text


def _tails(text: str) -> Iterator[tuple[str, bool]]:
    """What follows each mark and whether the mark bounds it, the last mark first."""
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    found = list(zip(marks, ends, strict=False))[::-1]
    # Words come last: "we may check our answer: ..." follows many a box.
    for mark, end in sorted(found, key=lambda one: bool(one[0]["say"])):
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
    """`tail` up to the brace that closes the one before it; empty if none does."""
    depth = 1
    for position, character in enumerate(tail):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return tail[:position]
    return ""


def _bare_box(tail: str) -> str:
    r"""What a box without braces holds: `\boxed 42`."""
    match = _BARE_BOX.match(tail)
    return match[0] if match else ""


def _numbered(tail: str) -> bool:
    return bool(re.match(r"\s*(?:\(1\)|1[.)]|[-•])\s", tail))


def _read_choice(tail: str) -> str:
    tail = unicodedata.normalize("NFKC", tail)
    line = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", tail.strip().partition("\n")[0])
    if lone := _LONE_LETTER.fullmatch(line):
        return lone[1].upper()
    found = _LETTER.search(line)
    return (found[1] or found[2]).upper() if found else ""


def _unmarked_choice(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    if lone := _LONE_LETTER.fullmatch(text):
        return lone[1].upper()
    if chosen := _CHOSEN.findall(text):
        return str(chosen[-1][0] or chosen[-1][1])
    bracketed: list[str] = re.findall(r"\(([A-Ja-j])\)", text)
    # A lone "A" or "I" in prose is a word; at the beginning of a line with a stop or a bracket it is a choice.
    listed: list[str] = bracketed or re.findall(r"^\s*\**([A-J])[.):]", text, re.M) or re.findall(r"\b([B-HJ])\b", text)
    return listed[-1].upper() if listed else ""


def _read_exact(tail: str) -> str:
    tail = re.sub(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", tail)
    return tail.strip().partition("\n\n")[0].strip(" .\"'`*\n")


def _unmarked_exact(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return _read_exact(lines[-1]) if lines else ""


def _same_letter(given: str, gold: str) -> bool:
    ours, theirs = _LONE_LETTER.fullmatch(given), _LONE_LETTER.fullmatch(gold)
    return bool(ours and theirs) and given.strip("*()[].: \n").upper() == gold.strip("*()[].: \n").upper()


def _same_words(given: str, gold: str) -> bool:
    """The same words; a label ("answer1", "yes") may be followed by what it stands for."""
    ours, theirs = normalised(given), normalised(gold)
    if re.fullmatch(r"[a-z]+\d+|yes|no|true|false|是|否|对|错", theirs):
        ours = re.split(r"[:：,，.;。(（]|\s+because\b|\s+-\s", ours)[0].strip()
    return ours == theirs or re.sub(r"^(?:the|an?) ", "", ours) == re.sub(r"^(?:the|an?) ", "", theirs)


_KINDS: dict[str, _Kind] = {
    "math": _Kind(mathematics.read, mathematics.canonical, mathematics.last_value, mathematics.same, mathematics.equal),
    "choice": _Kind(_read_choice, _read_choice, _unmarked_choice, _same_letter, _same_letter),
    "exact": _Kind(_read_exact, _read_exact, _unmarked_exact, _same_words, _same_words),
}
"""How each kind of answer is read and compared."""
