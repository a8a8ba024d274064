"""The table of answer spellings graded by overmem, by math-verify alone and by lm-evaluation-harness's GSM8K filters.

python benchmarks/grading.py [--data FOLDER]   # FOLDER holds math500/test.jsonl, for the reference answers respelt
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import math_verify
import yaml

from overmem.grading import GRADERS
from overmem.records import Example

TABLE = Path(__file__).parents[1] / "tests" / "grading" / "answers.yaml"
Judge = Callable[[str, str, str], bool]


def overmem(kind: str, gold: str, text: str) -> bool:
    """The grader of overmem."""
    return GRADERS[kind](text, Example("a", "?", "", gold, kind)).correct


def verify(kind: str, gold: str, text: str) -> bool:
    """math-verify alone, as its documentation calls it; letters and words are parsed as expressions too."""
    try:
        return bool(math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(text)))
    except Exception:
        return False


def flexible_extract(kind: str, gold: str, text: str) -> bool:
    """lm-evaluation-harness's `flexible-extract` of GSM8K: the last number; letters: the last bracketed or lone one."""
    pattern = r"\(?([A-J])\)?(?![a-z])" if kind == "choice" else r"(-?[$0-9.,]{2,}|-?[0-9]+)"
    candidates = re.findall(pattern, text) or [text if kind == "exact" else ""]
    return _bare(candidates[-1]) == _bare(gold)


def strict_match(kind: str, gold: str, text: str) -> bool:
    """lm-evaluation-harness's `strict-match` of GSM8K: what follows ####."""
    match = re.search(r"#### (\-?[0-9\.\,]+)", text)
    return bool(match) and _bare(match[1]) == _bare(gold)


def _bare(text: str) -> str:
    return re.sub(r",|\$|(?s:.*)#### |\.$", "", text).casefold().strip()


JUDGES: dict[str, Judge] = {
    "overmem": overmem,
    "math-verify alone": verify,
    "lm-eval flexible-extract": flexible_extract,
    "lm-eval strict-match": strict_match,
}


def respelt(gold: str) -> Iterator[str]:
    r"""A reference answer in three other spellings: boxed, in a sentence with \dfrac, after #### with \tfrac."""
    plain = gold.replace(r"\dfrac", r"\frac").replace(r"\left", "").replace(r"\right", "")
    yield r"We get \boxed{" + plain + "}."
    yield "The final answer is $" + gold.replace(r"\frac", r"\dfrac") + "$."
    yield r"#### \( " + gold.replace(r"\frac", r"\tfrac") + r" \)"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    data = parser.parse_args().data
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write = sys.stdout.write
    write("| set | side | n | " + " | ".join(JUDGES) + " |\n|---|---|---|" + "---|" * len(JUDGES) + "\n")
    for name, rows in table.items():
        for side in ("right", "wrong"):
            texts = [(r["kind"], str(r["gold"]), str(t).replace("⏎", "\n")) for r in rows for t in r[side]]
            counts = [sum(judge(*row) for row in texts) for judge in JUDGES.values()]
            write(f"| {name} | {side}, credited | {len(texts)} | {' | '.join(map(str, counts))} |\n")
    if data:
        golds = [json.loads(line)["answer"] for line in (data / "math500" / "test.jsonl").open(encoding="utf-8")]
        counts = [
            sum(overmem("math", gold, text) for gold in golds for text in [list(respelt(gold))[i]]) for i in range(3)
        ]
        write(f"\nMATH-500, {len(golds)} reference answers respelt in three ways, credited: {counts}\n")


if __name__ == "__main__":
    main()
