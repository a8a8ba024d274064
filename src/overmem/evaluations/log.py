"""What every harness's log comes to: questions, completions with the harness's own grade, and likelihoods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LoggedCompletion:
    """One completion as the harness graded it."""

    text: str
    correct: bool | None
    """None where the log grades several completions together: overmem's own grader then grades each."""
    answer: str = ""
    """The answer that the harness read from it; empty where the log has none."""
    stop: str = "unknown"
    """`eos`, `length`, or `unknown` where the log does not say why it ended."""
    tokens: int | None = None


@dataclass(frozen=True)
class LoggedQuestion:
    """One question of a log, and what one model made of it."""

    key: str
    """Equal in every task of a harness that asks the same document."""
    row: Mapping[str, Any]
    """The document as the data set has it, or `question` and `answer` where the log has no more."""
    prompt: str
    """As the model read it."""
    target: str
    completions: tuple[LoggedCompletion, ...] = ()
    nll: float | None = None
    """Summed over the tokens of `target`, in nats; None where the harness did not measure it."""
    target_tokens: int | None = None
    """Tokens behind `nll`; None where the log does not say."""
    kind: str = ""
    """How the data set's answers are graded, where the harness implies it; else read from the rows."""


@dataclass(frozen=True)
class EvaluationLog:
    """One task of one model."""

    path: Path
    task: str
    model: str
    """As the log names it: a path, or a hub id."""
    metric: str
    """What `correct` is, as the harness names it."""
    questions: tuple[LoggedQuestion, ...]
    temperature: float | None = None
    """Of the completions; None where the log does not say."""
    notes: tuple[str, ...] = field(default=())
    """How the log was read, each a sentence."""
