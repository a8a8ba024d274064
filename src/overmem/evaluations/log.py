"""The common form of all harnesses' logs: questions, completions with the harness's own grade, and likelihoods."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LoggedCompletion:
    """One completion as the harness graded it."""

    text: str
    correct: bool | None
    """None if the log has one grade for several completions: each is then graded by overmem."""
    answer: str = ""
    """The answer that the harness extracted; empty if the log has none."""
    stop: str = "unknown"
    """Why it ended: `eos`, `length`, or `unknown`."""
    tokens: int | None = None


@dataclass(frozen=True)
class LoggedQuestion:
    """One question of a log, with the completions of one model."""

    key: str
    """Identifies the document: equal in every task of a harness that uses it."""
    row: Mapping[str, Any]
    """The document's columns in the data set, or only `question` and `answer` if the log has no others."""
    prompt: str
    """The text that the model continued."""
    target: str
    completions: tuple[LoggedCompletion, ...] = ()
    nll: float | None = None
    """Summed over the tokens of `target`, in nats; None if it was not measured."""
    target_tokens: int | None = None
    """Number of tokens in that sum; None if the log does not have it."""
    kind: str = ""
    """How the answer is graded, if the harness implies it; empty if it follows from the row."""


@dataclass(frozen=True)
class EvaluationLog:
    """One task of one model."""

    path: Path
    task: str
    model: str
    """A path or a hub id, as in the log."""
    metric: str
    """The harness's name of the metric behind `correct`."""
    questions: tuple[LoggedQuestion, ...]
    temperature: float | None = None
    """Sampling temperature of the completions; None if the log does not have it."""
    notes: tuple[str, ...] = ()
    """Remarks on how the log was read."""
