"""The questions of one checkpoint's logs as units of a run: completions with grades, and summed nll of solutions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overmem.evaluations.log import EvaluationLog, LoggedQuestion
from overmem.grading import grade
from overmem.records import Completions, Example, Grades, Samples
from overmem.store.imported import SolutionTotals

UNKNOWN = -1
"""Tokens of a completion whose length is not known."""


def samples_of(
    logs: Sequence[EvaluationLog], examples: Mapping[str, Example], tokenizer: Any, *, grader: str
) -> tuple[Samples, Grades] | None:
    """Every completion in the logs of one checkpoint, with its grade; None where there is none.

    One completion of a question is its greedy one (draw 0); several are draws, unless they were decoded at temperature
    0, where they are one.

    Args:
        logs: of one checkpoint.
        examples: key of a question -> its example; other questions are left out.
        tokenizer: counts tokens that the log does not; None for none.
        grader: `log` for the log's own grades; else completions are graded by the example's kind.
    """
    rows: list[tuple[str, int, float, Any]] = []
    for log in logs:
        for question in log.questions:
            if question.key in examples:
                rows += _draws(examples[question.key].id, question, log.temperature)
    if not rows:
        return None
    completions = Completions(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows], dtype=np.int32),
        np.array([row[2] for row in rows], dtype=np.float32),
        tuple(row[3].text for row in rows),
        np.array([_tokens(row[3], tokenizer) for row in rows], dtype=np.int32),
        np.full(len(rows), np.nan, dtype=np.float32),
        tuple(row[3].stop for row in rows),
    )
    if grader == "log" and all(row[3].correct is not None for row in rows):
        grades = Grades(
            completions.example_ids,
            completions.draw,
            tuple(row[3].answer for row in rows),
            np.array([row[3].correct for row in rows], dtype=bool),
            ("",) * len(rows),
        )
    else:
        grades = grade(completions, list({e.id: e for e in examples.values()}.values()))
    columns = {name: getattr(completions, name) for name in Completions.__dataclass_fields__}
    return Samples(**columns, answer=grades.answer, correct=grades.correct), grades


def _draws(identity: str, question: LoggedQuestion, temperature: float | None) -> list[tuple[str, int, float, Any]]:
    """Draw number and temperature of each completion. A single one counts as greedy, several as draws.

    Where the log names no temperature, a single one is taken to be of 0 and several of 1, the harnesses' defaults.
    """
    completions = question.completions
    if len(completions) == 1 or (completions and temperature == 0):
        return [(identity, 0, 0.0 if temperature is None else temperature, completions[0])]
    drawn_at = 1.0 if temperature is None else temperature
    return [(identity, number, drawn_at, completion) for number, completion in enumerate(completions, 1)]


def _tokens(completion: Any, tokenizer: Any) -> int:
    if completion.tokens is not None:
        return int(completion.tokens)
    return UNKNOWN if tokenizer is None else len(_ids(tokenizer, completion.text))


def totals_of(logs: Sequence[EvaluationLog], examples: Mapping[str, Example], tokenizer: Any) -> SolutionTotals | None:
    """The summed nll of the solutions in the logs of one checkpoint; None where there is none, or no token count.

    Args:
        logs: of one checkpoint.
        examples: key of a question -> its example.
        tokenizer: counts the tokens of a solution where the log does not; None for none.
    """
    rows = {}
    for question in (q for log in logs for q in log.questions if q.key in examples):
        if question.nll is None:
            continue
        tokens = question.target_tokens
        if tokens is None and tokenizer is not None:
            whole = _ids(tokenizer, question.prompt + question.target)
            tokens = len(whole) - len(_ids(tokenizer, question.prompt))
        if tokens:
            rows[examples[question.key].id] = (float(question.nll), tokens)
    if not rows:
        return None
    return SolutionTotals(
        tuple(rows),
        np.array([nll for nll, _ in rows.values()], dtype=np.float64),
        np.array([tokens for _, tokens in rows.values()], dtype=np.int64),
    )


def needs_tokenizer(logs: Sequence[EvaluationLog]) -> bool:
    """Whether a log has likelihoods whose tokens it does not count."""
    return any(q.nll is not None and q.target_tokens is None for log in logs for q in log.questions)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
