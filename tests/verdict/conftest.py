"""A simulated run written to disk as an audit would have left it."""

from dataclasses import asdict

import numpy as np
import pytest

from overmem import store
from overmem.records import SCHEMA, TEMPERATURES, Checkpoint, Example, Samples, Scores
from studies.trajectories import World, simulated


def _scores(curves, row, prefix):
    tokens, width = curves.token_counts, 8
    per_token = np.repeat(curves.nll_sums[row] / tokens, width).astype(np.float32)
    n = len(tokens)
    grid = np.stack([curves.nll_sums[row] / tokens * width * (1 + (t - 1.2) ** 2) for t in TEMPERATURES], 1)
    zero = np.zeros(n * width, dtype=np.float32)
    agree = np.arange(n * width) % 4 > 0
    return Scores(
        tuple(f"{prefix}{i}" for i in range(n)),
        np.arange(0, n * width + 1, width),
        np.zeros(n * width, dtype=np.int32),
        -per_token,
        zero,
        agree,
        np.full(n * width, np.log(0.75), dtype=np.float32),
        zero,
        zero,
        grid,
    )


def _samples(right, prefix, draws=0, drawn=None):
    n = len(right)
    greedy = [(f"{prefix}{i}", 0, bool(right[i])) for i in range(n)]
    extra = [(f"{prefix}{i}", d + 1, bool(drawn[i, d])) for i in range(n) for d in range(draws)]
    rows = greedy + extra
    return Samples(
        tuple(r[0] for r in rows),
        np.array([r[1] for r in rows], np.int32),
        np.array([0.7 * (r[1] > 0) for r in rows], np.float32),
        ("x",) * len(rows),
        np.ones(len(rows), np.int32),
        -np.ones(len(rows), np.float32),
        ("eos",) * len(rows),
        ("1",) * len(rows),
        np.array([r[2] for r in rows]),
    )


def write_planted_run(
    root, world, *, seed=0, ood_loss=0.0, train_shift=None, on_disk=True, test=True, base=None, splits=None
):
    """A run directory: base, checkpoints, val and test; with `ood_loss` late checkpoints lose that on ood-far.

    `base`: accuracy of the base model, measured where it is given. `splits`: the curves of val and test themselves.
    """
    run = store.open_run(root)
    curves = dict(zip(("val", "test"), splits or simulated(world, "disk", seed, splits=2), strict=True))
    if not test:
        del curves["test"]
    checkpoints = curves["val"].checkpoints
    untrained = Checkpoint("base", 0)
    splits = [*curves, *(["ood-far"] if ood_loss else []), *(["train"] if train_shift is not None else [])]
    plan = {"schema": SCHEMA, "checkpoints": [asdict(c) for c in (untrained, *checkpoints)]}
    plan["splits"] = {split: {"request": "r"} for split in splits}
    store.write_json(run.plan_path, plan)
    rng = np.random.default_rng(seed)
    easy = rng.random(world.n)
    for split in splits:
        examples = [Example(f"{split}{i}", "q", "s", "a") for i in range(world.n)]
        store.write_examples(run, split, examples)
    for row, checkpoint in enumerate(checkpoints):
        if on_disk:
            (root / checkpoint.name).mkdir(exist_ok=True)
        for split, seen in curves.items():
            store.write_scores(run, checkpoint.name, split, _scores(seen, row, split), weights="w", request="r")
            samples = _samples(seen.correct[row], split)
            store.write_samples(run, checkpoint.name, split, samples, weights="w", request="r")
        if ood_loss:
            share = 0.6 - ood_loss * row / (len(checkpoints) - 1)
            samples = _samples(easy < share, "ood-far")
            store.write_samples(run, checkpoint.name, "ood-far", samples, weights="w", request="r")
    for split, seen in curves.items() if base is not None else ():
        store.write_scores(run, "base", split, _scores(seen, 0, split), weights="w", request="r")
        right = np.arange(world.n) < base * world.n
        store.write_samples(run, "base", split, _samples(right, split), weights="w", request="r")
    if train_shift is not None:
        for split in ("val", "train"):
            seen = curves["val"]
            scores = _scores(seen, 0, split)
            moved = scores.logprob - (0.0 if split == "val" else train_shift)
            scores = Scores(**{**{f: getattr(scores, f) for f in Scores.__dataclass_fields__}, "logprob": moved})
            store.write_scores(run, "base", split, scores, weights="w", request="r")
    return run


def _write_drawn(run, curves):
    """A run of which val, test and training rows were scored, at the base model too."""
    checkpoints = curves["val"].checkpoints
    plan = {"schema": SCHEMA, "checkpoints": [asdict(c) for c in checkpoints]}
    plan["splits"] = {split: {"request": "r"} for split in curves}
    store.write_json(run.plan_path, plan)
    for split, seen in curves.items():
        store.write_examples(run, split, [Example(f"{split}{i}", "q", "s", "a") for i in range(len(seen.token_counts))])
        for row, checkpoint in enumerate(seen.checkpoints):
            if checkpoint.step:
                (run.root / checkpoint.name).mkdir(exist_ok=True)
            store.write_scores(run, checkpoint.name, split, _scores(seen, row, split), weights="w", request="r")
            if np.isfinite(seen.correct[row]).all():
                samples = _samples(seen.correct[row] > 0.5, split)
                store.write_samples(run, checkpoint.name, split, samples, weights="w", request="r")
    return run


@pytest.fixture(scope="session")
def write_run():
    def write(root, world, *, drawn=None, **more):
        """`drawn`: curves of val, test and train as `studies.worlds.drawn` has them, the base model's row first."""
        return write_planted_run(root, world, **more) if drawn is None else _write_drawn(store.open_run(root), drawn)

    return write


@pytest.fixture(scope="session")
def world():
    return World(n=400, checkpoints=6, discordance=0.04)
