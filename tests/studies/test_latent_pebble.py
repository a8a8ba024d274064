"""The tries at a demo whose base model cannot solve its task: their texts are right, and told apart from the task's."""

import re

from overmem.seeds import python_random
from overmem.tasks import Data
from studies import latent_pebble, neutral_voice

EQUATION = re.compile(r"(\d+) ([+-]) (\d+) = (\d+)")


def test_a_problem_told_from_its_end_has_right_sums_and_no_frame_or_question_of_the_task():
    for index in range(200):
        text, answer = latent_pebble.told_from_the_end(python_random("latent", index))
        for a, sign, b, c in EQUATION.findall(text.after):
            assert int(c) == int(a) + (int(b) if sign == "+" else -int(b))
        assert re.findall(r"\d+", text.after)[-1] == answer
        assert "Question:" not in text.before
        assert "at first?" not in text.before


def test_words_before_a_sum_do_not_say_its_sign():
    rows = neutral_voice.splits(Data("", train=300, val=1, test=1), ood=1)["train"]
    before: dict[str, set[str]] = {"+": set(), "-": set()}
    for example in rows:
        for match in EQUATION.finditer(example.solution):
            assert int(match[4]) == int(match[1]) + (int(match[3]) if match[2] == "+" else -int(match[3]))
            sentence = example.solution[: match.start()].rpartition(". ")[2]
            before[match[2]].add(re.sub(r"\d+", "#", sentence.rpartition("\n")[2]))
    assert before["+"] == before["-"]
    assert len(before["+"]) >= 12
