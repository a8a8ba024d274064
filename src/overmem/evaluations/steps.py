"""Which checkpoint a log is of: by the name that the user gave, else by the step in the log's or the model's name."""

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
    """The step in a path: of the last `checkpoint-100`, `step_100` or the like; else the number that ends its name."""
    if numbers := _NUMBERED.findall(text):
        return int(numbers[-1])
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    match = None if _DATED.search(last) else _TRAILING.fullmatch(re.sub(r"\.\w+$", "", last))
    return int(match[1]) if match else None


def steps_of(logs: Sequence[tuple[Path, EvaluationLog]], names: Sequence[str]) -> list[tuple[int, str]]:
    """(step, where it was read from) of each log.

    Args:
        logs: the path on the command line, and a log in it.
        names: names of the checkpoints, one per path; empty to read the step from the path or the model's name.

    Raises:
        BadRequest: the number of names differs from that of logs, or no name has a number.
    """
    if names and len(names) != len(logs):
        raise BadRequest(f"--checkpoints names {len(names)} of {len(logs)} logs; allowed: one name per log, in order")
    steps = []
    for i, (path, log) in enumerate(logs):
        sources = {"--checkpoints": names[i]} if names else {"the log's name": str(path), "the model": log.model}
        steps.append(_step(path, sources))
    return steps


def _step(path: Path, sources: Mapping[str, str]) -> tuple[int, str]:
    for source, text in sources.items():
        if re.split(r"[/\\]", text.rstrip("/\\"))[-1].casefold() == "base":
            return 0, source
        if (step := step_in(text)) is not None:
            return step, source
    listed = " and ".join(f"{source} ({text})" for source, text in sources.items())
    raise BadRequest(
        f"{path}: no step in {listed}; allowed: a name like step-100 or checkpoint-100, or --checkpoints "
        "with one name per log"
    )


def checkpoint_at(root: Path, step: int, history: Sequence[Mapping[str, Any]]) -> Checkpoint:
    """The checkpoint at a step, named after its folder in the run if there is one, with the trainer's epoch."""
    if step == 0:
        return Checkpoint("base", 0, 0.0, 0.0)
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and step_in(p.name) == step) if root.is_dir() else []
    name = f"checkpoint-{step}"
    epoch = next((row["epoch"] for row in history if row.get("step") == step and "epoch" in row), None)
    return Checkpoint(
        name if name in folders or not folders else folders[0], step, epoch, _cumulative_lr(history, step)
    )


def _cumulative_lr(history: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """The sum of the learning rates of all steps up to this one; None if none was logged."""
    rates = [(int(row["step"]), float(row["learning_rate"])) for row in history if "learning_rate" in row]
    total, previous = 0.0, 0
    for logged_at, rate in rates:
        total += rate * max(0, min(logged_at, step) - previous)
        previous = min(logged_at, step)
    return total + rates[-1][1] * (step - previous) if rates else None
