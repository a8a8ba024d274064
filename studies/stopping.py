"""Baselines that the verdict is compared with: early-stopping rules, and the choice of another tool."""

import json
import subprocess
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from overmem.records import Curves


def generalization_loss(nll: Float[np.ndarray, " checkpoints"], limit: float = 5.0) -> int:
    """Prechelt's GL: stop when the nll is `limit` percent above its lowest so far; keep the lowest until then.

    Source: Prechelt 1998, Early Stopping - But When?, https://doi.org/10.1007/3-540-49430-8_3.
    """
    lowest = np.minimum.accumulate(nll)
    return _lowest_until(nll, 100 * (nll / lowest - 1) > limit)


def progress_quotient(
    nll: Float[np.ndarray, " checkpoints"],
    train: Float[np.ndarray, "checkpoints strip"],
    limit: float = 0.75,
) -> int:
    """Prechelt's PQ: stop when generalization loss over training progress in the strip before exceeds `limit`."""
    lowest = np.minimum.accumulate(nll)
    progress = 1000 * (train.mean(1) / train.min(1) - 1)
    return _lowest_until(nll, 100 * (nll / lowest - 1) / np.maximum(progress, 1e-9) > limit)


def successive_rises(nll: Float[np.ndarray, " checkpoints"], times: int = 3) -> int:
    """Prechelt's UP: stop when the nll has risen `times` checkpoints in a row; keep the lowest until then."""
    rises = np.concatenate([[False], np.diff(nll) > 0])
    stops = np.array([rises[max(i - times + 1, 0) : i + 1].all() and i >= times for i in range(len(nll))])
    return _lowest_until(nll, stops)


def _lowest_until(nll: Float[np.ndarray, " checkpoints"], stops: np.ndarray) -> int:
    end = int(stops.argmax()) + 1 if stops.any() else len(nll)
    return int(nll[:end].argmin())


def training_losses(count: int, strip: int = 5) -> Float[np.ndarray, "checkpoints strip"]:
    """A training loss that falls to nearly nothing, at `strip` points before each of `count` checkpoints."""
    times = np.arange(1, count * strip + 1) / (count * strip)
    return np.asarray(0.02 + 0.4 * np.exp(-times / 0.25)).reshape(count, strip)


def early_stopping(runs: Sequence[Curves]) -> dict[str, list[int]]:
    """What GL at 5, UP at 3 and PQ at 0.75 pick on each run."""
    curves = [r.nll_sums.sum(1) / r.token_counts.sum() for r in runs]
    train = training_losses(len(curves[0]))
    return {
        "GL 5": [generalization_loss(c) for c in curves],
        "UP 3": [successive_rises(c) for c in curves],
        "PQ 0.75": [progress_quotient(c, train) for c in curves],
    }


DOCTOR = """
import json, sys
from finetune_doctor import diagnose
from finetune_doctor.history import from_trainer_state
for line in sys.stdin:
    history = from_trainer_state(json.loads(line))
    print(*(diagnose(history, metric=metric).pick.best_step for metric in (None, "eval_accuracy")))
"""
"""Its choice by default, which goes by eval_loss, and when set to go by accuracy."""


def finetune_doctor(runs: Sequence[Curves], python: str) -> dict[str, list[int]]:
    """What finetune-doctor picks on each run; `python` is an interpreter in whose environment it is installed."""
    lines = []
    for run in runs:
        nll, accuracy = run.nll_sums.sum(1) / run.token_counts.sum(), run.correct.mean(1)
        train = training_losses(len(nll)).mean(1)
        history = []
        for i, c in enumerate(run.checkpoints):
            entry = {"step": c.step, "epoch": c.epoch}
            history.append(entry | {"loss": float(train[i]), "learning_rate": 1e-4})
            history.append(entry | {"eval_loss": float(nll[i]), "eval_accuracy": float(accuracy[i])})
        last = run.checkpoints[-1].step
        lines.append(json.dumps({"log_history": history, "global_step": last, "max_steps": last}))
    done = subprocess.run([python, "-c", DOCTOR], input="\n".join(lines), capture_output=True, text=True, check=True)
    places = [{c.step: i for i, c in enumerate(run.checkpoints)} for run in runs]
    steps = [line.split() for line in done.stdout.splitlines()]
    names = ("finetune-doctor", "finetune-doctor, by accuracy")
    return {
        name: [place[int(picked[which])] for place, picked in zip(places, steps, strict=True)]
        for which, name in enumerate(names)
    }
