"""Trainers' logs with something to remark on: what `diagnose` writes on each is in `expected.txt`."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.store.logs.written import NLL, SHARES, evaluations, several_sets, write_state

RISING = [0.90, 0.70, 0.60, 0.58, 0.66, 0.75, 0.86]


def _losses(values):
    return [{"step": 30 * i, "eval_loss": value} for i, value in enumerate(values, 1)]


def _renamed(**names):
    """The evaluations with metrics of other names, each a function of the accuracy."""
    return [
        {"step": e["step"], "eval_loss": e["eval_loss"]} | {name: f(e["eval_accuracy"]) for name, f in names.items()}
        for e in evaluations()
    ]


def of_tokens(folder):
    write_state(folder, _renamed(eval_acc=lambda a: a))
    (folder / "trainer_log.jsonl").write_text(json.dumps({"current_steps": 30, "loss": 1.0}))


def of_tags(folder):
    entries = evaluations([0.10, 0.08, 0.07, 0.065], [0.951234567, 0.9641234567, 0.9698765432, 0.971234])
    entries = [e | {"eval_runtime": 2.0, "eval_samples_per_second": 1625.0} for e in entries]
    write_state(folder, [e | {"eval_f1": 0.80 + 0.03 * i} for i, e in enumerate(entries)])


def no_share(folder):
    shares = [0.5312345678, 0.5187654321, 0.5023456789]
    write_state(folder, evaluations([2.1, 2.25, 2.4], shares, eval_runtime=100.0, eval_samples_per_second=2.5))


def follows_the_loss(folder):
    nll = [2.9 + 0.03 * i for i in range(24)]
    write_state(folder, evaluations(nll, [round(0.7 * math.exp(-x), 4) for x in nll]))


def reloaded(folder):
    final = {**evaluations()[2], "step": 180, "epoch": 6.0}
    entries = [*evaluations(), {"step": 180, "train_runtime": 5.0, "train_loss": 0.3}, final]
    write_state(folder, entries, best_model_checkpoint="out/checkpoint-90")


def resumed(folder):
    halves = evaluations()[:3], evaluations()[3:]
    for i, entries in enumerate(halves):
        (folder / f"part-{i}.jsonl").write_text("\n".join(map(json.dumps, entries)) + '\n{"step": 240, "eval_l' * i)


def newer_state(folder):
    write_state(folder, evaluations()[:2], global_step=60)
    write_state(folder / "checkpoint-180", [*evaluations(), {"step": 30, "eval_loss": 0.95}, 7], global_step=180)


def damaged_state(folder):
    write_state(folder / "run-a", evaluations())
    (folder / "run-a" / "trainer_state.json").rename(folder / "run-a" / "log_history.json")
    (folder / "run-a" / "trainer_state.json").write_text("version https://example.org/pointer")


def other_training_loss(folder):
    write_state(folder, [e | {"eval_mean_token_accuracy": 0.1} for e in _losses(RISING)])
    (folder / "train_args.yaml").write_text("use_dft_loss: true\n")


def keras(folder):
    lines = [f"{i},0.99,0.01,{a},{x}" for i, (x, a) in enumerate(zip(NLL, SHARES, strict=True))]
    (folder / "training.csv").write_text("\n".join(["epoch,accuracy,loss,val_accuracy,val_loss", *lines]))


LOGS: Mapping[str, Callable[[Path], None]] = {
    "loss alone, risen": lambda folder: write_state(folder, _losses(RISING)),
    "loss alone, risen since the first evaluation": lambda folder: write_state(folder, _losses([1.0, 1.5, 2.0, 2.4])),
    "loss alone, falling": lambda folder: write_state(folder, _losses([1 / i for i in range(1, 9)])),
    "loss alone, noise after the minimum": lambda folder: write_state(folder, _losses([0.9, 0.7, 0.6, 0.5, 0.502])),
    "loss alone, one evaluation": lambda folder: write_state(folder, _losses([1.0])),
    "several evaluation sets": lambda folder: write_state(folder, several_sets()),
    "error rate": lambda folder: write_state(folder, _renamed(eval_wer=lambda a: 100 * (1 - a))),
    "score": lambda folder: write_state(folder, _renamed(eval_rougeL=lambda a: 40 * a)),
    "neither fraction nor percentage": lambda folder: write_state(folder, _renamed(eval_accuracy=lambda a: 500 * a)),
    "accuracy of tokens, by the trainer": of_tokens,
    "accuracy of tokens, by name": lambda folder: write_state(folder, _renamed(eval_token_accuracy=lambda a: a)),
    "accuracy of tokens, not a share of the rows": no_share,
    "accuracy of tokens, following the loss": follows_the_loss,
    "accuracy of tags": of_tags,
    "unrecognized accuracy": lambda folder: write_state(folder, _renamed(**{"eval_gsm8k_strict_acc": lambda a: a})),
    "reloaded best model": reloaded,
    "resumed, with a truncated last line": resumed,
    "newer state in a checkpoint": newer_state,
    "damaged state, log in the subfolder": damaged_state,
    "diverged": lambda folder: write_state(folder, evaluations([*NLL[:4], math.nan, math.inf], [*SHARES[:4], 0, 0])),
    "unusable losses in between": lambda folder: write_state(folder, evaluations([*NLL[:3], math.nan, -0.1, 0.88])),
    "training loss is NaN": lambda folder: write_state(folder, [*evaluations(), {"step": 190, "loss": math.nan}]),
    "another training loss": other_training_loss,
    "preference training": lambda folder: write_state(
        folder, [e | {"eval_rewards/margins": 0.3} for e in _losses(RISING)]
    ),
    "epochs instead of steps": keras,
}
