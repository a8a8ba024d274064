"""Which checkpoint a log is of: by a name that is given, else by the number in the log's name or in its model's."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from overmem.errors import BadRequest
from overmem.evaluations.log import EvaluationLog
from overmem.records import Checkpoint

_NUMBERED = re.compile(r"(?:checkpoint|ckpt|global_?step|step|iter|iteration|epoch)s?[-_=]?0*(\d+)(?!\d)", re.I)
_TRAILING = re.compile(r"(?<![\d-])(?:.*[^\d.-])?[-_]?0*(\d+)")
_DATED = re.compile(r"\d{4}-\d\d-\d\d")


def step_in(text: str) -> int | None:
    """The step that a path names: the last `checkpoint-100`, `step_100` or the like; else the end of its last part."""
    if numbers := _NUMBERED.findall(text):
        return int(numbers[-1])
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    match = None if _DATED.search(last) else _TRAILING.fullmatch(re.sub(r"\.\w+$", "", last))
    return int(match[1]) if match else None


def steps_of(operands: Sequence[tuple[Path, EvaluationLog]], names: Sequence[str]) -> list[tuple[int, str]]:
    """(step, where it is from) of each log: in a given name, in the log's path, or in its model's.

    Args:
        operands: the path that was given, and a log in it.
        names: names of the checkpoints, one per operand; empty where none were given.

    Raises:
        BadRequest: as many names as logs are expected; or no number anywhere.
    """
    if names and len(names) != len(operands):
        raise BadRequest(
            f"--checkpoints names {len(names)} of {len(operands)} logs; allowed: one name per log, in order"
        )
    steps = []
    for place, (path, log) in enumerate(operands):
        sources = {"--checkpoints": names[place]} if names else {"the log's name": str(path), "the model": log.model}
        steps.append(_step(path, sources))
    return steps


def _step(path: Path, sources: Mapping[str, str]) -> tuple[int, str]:
    for where, text in sources.items():
        if re.split(r"[/\\]", text.rstrip("/\\"))[-1].casefold() == "base":
            return 0, where
        if (step := step_in(text)) is not None:
            return step, where
    shown = " and ".join(f"{where} ({text})" for where, text in sources.items())
    raise BadRequest(
        f"{path}: no number of a step in {shown}; allowed: a name like step-100 or checkpoint-100, or --checkpoints "
        "with one name per log"
    )


def checkpoint_at(root: Path, step: int, history: Sequence[Mapping[str, Any]]) -> Checkpoint:
    """The checkpoint of a step: named as its folder in the run where there is one, with the trainer's epoch."""
    if step == 0:
        return Checkpoint("base", 0, 0.0, 0.0)
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and step_in(p.name) == step) if root.is_dir() else []
    name = f"checkpoint-{step}"
    epoch = next((row["epoch"] for row in history if row.get("step") == step and "epoch" in row), None)
    return Checkpoint(
        name if name in folders or not folders else folders[0], step, epoch, _cumulative_lr(history, step)
    )


def _cumulative_lr(history: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """The sum of the learning rates of all steps up to this one; None where none was logged."""
    rates = [(int(row["step"]), float(row["learning_rate"])) for row in history if "learning_rate" in row]
    total, previous = 0.0, 0
    for logged, rate in rates:
        total += rate * max(0, min(logged, step) - previous)
        previous = min(logged, step)
    return total + (rates[-1][1] * (step - previous) if rates else 0.0) if rates else None
