"""The harnesses whose logs are read: one file each, one literal table."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from overmem.evaluations.formats import evalplus, inspect_ai, lighteval, lm_eval
from overmem.evaluations.log import EvaluationLog

FORMATS: Final[dict[str, Callable[[Path, str], list[EvaluationLog]]]] = {
    "lm-eval": lm_eval.read_logs,
    "inspect": inspect_ai.read_logs,
    "lighteval": lighteval.read_logs,
    "evalplus": evalplus.read_logs,
}
"""Harness -> the reader of its logs: (path, metric) -> one log per task."""
