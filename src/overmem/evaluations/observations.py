"""Units of a run from the logs of one checkpoint: completions with grades, and the summed nll of solutions."""

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
    """Every completion in the logs of one checkpoint, with its grade; None if there is none.

    A question's only completion counts as the greedy one (draw 0). Several are sampled completions, unless they were
    decoded at temperature 0: then only the first is kept.

    Args:
        logs: the logs of one checkpoint.
        examples: key of a question -> its example; other questions are left out.
        tokenizer: counts the tokens of a completion if the log does not; None leaves them unknown.
        grader: `log` keeps the log's own grades; otherwise completions are graded by the example's kind.
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
    """Example id, draw number and temperature of each completion, and the completion.

    If the log has no temperature, it is assumed to be 0 for an only completion and 1 for several, as the harnesses
    default to.
    """
    completions = question.completions
    if len(completions) == 1 or (completions and temperature == 0):
        return [(identity, 0, 0.0 if temperature is None else temperature, completions[0])]
    assumed = 1.0 if temperature is None else temperature
    return [(identity, draw, assumed, completion) for draw, completion in enumerate(completions, 1)]


def _tokens(completion: Any, tokenizer: Any) -> int:
    if completion.tokens is not None:
        return int(completion.tokens)
    return UNKNOWN if tokenizer is None else len(_ids(tokenizer, completion.text))


def totals_of(logs: Sequence[EvaluationLog], examples: Mapping[str, Example], tokenizer: Any) -> SolutionTotals | None:
    """The summed nll of the solutions in the logs of one checkpoint; None if there is none, or no token count.

    Args:
        logs: the logs of one checkpoint.
        examples: key of a question -> its example.
        tokenizer: counts the tokens of a solution if the log does not; None leaves such solutions out.
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
    """Whether a log has a likelihood without its number of tokens."""
    return any(q.nll is not None and q.target_tokens is None for log in logs for q in log.questions)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
