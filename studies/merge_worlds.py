"""Simulated runs whose candidates are known in truth, written as an audit leaves them."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from overmem import store
from overmem.probes.draws import pass_at
from overmem.records import TEMPERATURES, Checkpoint, Example, Plan, PlannedSplit, Samples
from overmem.search.candidates import Weights
from overmem.seeds import generator
from overmem.store.files import write_frame
from overmem.store.units import SCORES
from studies.trajectories import persistence

TOKENS = 4
"""Of every solution; the nll is spread over them."""
LEVEL = 0.5
"""Nats per token."""


@dataclass(frozen=True)
class Equal:
    """A run whose checkpoints and merges are equal in truth."""

    checkpoints: int = 8
    n: int = 500
    """Questions of val and of test, each."""
    accuracy: float = 0.8
    discordance: float = 0.10
    """Share of answers that differ between two models."""
    noise: float = 0.05
    """Of the nll per token of a question from model to model."""
    rows_per_question: int = 1
    draws: int = 0
    sides: int = 0
    """Out-of-distribution splits of half as many questions."""
    accuracy_luck: float = 0.0
    """Standard deviation of a model's true accuracy; the same on every split, so a real difference."""
    nll_luck: float = 0.0
    """Likewise of the relative nll."""
    gain: float = 0.0
    """True accuracy of every merge minus that of the checkpoints."""
    lower: float = 0.0
    """How much lower the nll of every merge is, relatively."""


@dataclass(frozen=True)
class Simulated:
    """The observations of one run: the truth about a model is drawn from its name."""

    world: Equal
    seed: int
    run: store.Run

    @property
    def draws(self) -> int:
        """Sampled completions of every question."""
        return self.world.draws

    def key(self, weights: Weights) -> str:
        """A hash of the weights."""
        parts = sorted((name, round(w, 6)) for name, w in weights.items() if w)
        return f"{zlib.crc32(json.dumps(parts).encode()):08x}"

    def luck(self, name: str) -> tuple[float, float]:
        """How much more accurate this model is, and how much its nll is higher, relatively."""
        z = self._rng("luck", name).standard_normal(2)
        is_merge = not name.startswith("checkpoint-")
        gain, lower = (self.world.gain, self.world.lower) if is_merge else (0.0, 0.0)
        return float(self.world.accuracy_luck * z[0]) + gain, float(self.world.nll_luck * z[1]) - lower

    def nll_sums(self, weights: Weights, split: str) -> dict[str, float]:
        """Summed nll of every solution, by example."""
        return dict(zip(self.ids(split), self.drawn_nll(self.key(weights), split), strict=True))

    def answers(self, weights: Weights, split: str) -> dict[str, tuple[float, float]]:
        """By example: whether the greedy completion is right, and pass@k."""
        return self._with_pass(self.drawn_answers(self.key(weights), split), split)

    def answers_of(self, checkpoint: str, split: str) -> dict[str, tuple[float, float]]:
        """The same of a single checkpoint, from the run's files."""
        samples = store.read_samples(self.run, checkpoint, split)
        rows = samples.correct.reshape(-1, 1 + self.draws)  # as they were written: question by question
        return self._with_pass(rows, split)

    def winners(self, split: str) -> int:
        """One: there was no earlier search."""
        return 1

    def ids(self, split: str) -> list[str]:
        """Names of the questions."""
        n = self.world.n if split in ("val", "test") else self.world.n // 2
        return [f"{split}{i}" for i in range(n)]

    def groups(self, split: str) -> np.ndarray:
        """Question of each example."""
        return np.arange(len(self.ids(split))) // self.world.rows_per_question

    def drawn_nll(self, name: str, split: str) -> np.ndarray:
        """Summed nll of every solution."""
        group = self.groups(split)
        base = self._rng("nll", split).lognormal(0, 0.3, group[-1] + 1)[group]
        own = self._rng("nll", split, name).standard_normal(group[-1] + 1)[group]
        return np.asarray(TOKENS * np.abs(LEVEL * (1 + self.luck(name)[1]) * base + self.world.noise * own))

    def drawn_answers(self, name: str, split: str) -> np.ndarray:
        """Whether each completion is right, the greedy one first: [questions 1 + draws]."""
        group = self.groups(split)
        r = self.shared
        latent = np.sqrt(r) * self._rng("answers", split).standard_normal(group[-1] + 1)[group]
        own = self._rng("answers", split, name).standard_normal((group[-1] + 1, 1 + self.draws))[group]
        level = np.clip(self.world.accuracy + self.luck(name)[0], 0.01, 0.99)
        return np.asarray(latent[:, None] + np.sqrt(1 - r) * own < ndtri(level))

    def _with_pass(self, right: np.ndarray, split: str) -> dict[str, tuple[float, float]]:
        k = self.draws
        passed = [pass_at(k, k, int(row[1:].sum())) if k else float("nan") for row in right]
        return {i: (float(row[0]), p) for i, row, p in zip(self.ids(split), right, passed, strict=True)}

    @cached_property
    def shared(self) -> float:
        """Correlation of what two models find hard."""
        return persistence(self.world.accuracy, self.world.discordance)

    def _rng(self, *parts: str) -> np.random.Generator:
        return generator("merge claims", self.world, self.seed, *parts)

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return ("val", "test", *(f"ood-{i}" for i in range(self.world.sides)))


def written(world: Equal, seed: int, folder: Path) -> Simulated:
    """A simulated run, written as an audit leaves it."""
    run = store.open_run(folder)
    simulated = Simulated(world, seed, run)
    checkpoints = tuple(Checkpoint(f"checkpoint-{50 * i}", 50 * i) for i in range(1, world.checkpoints + 1))
    store.write_plan(run, Plan({split: PlannedSplit("r") for split in simulated.splits}, checkpoints))
    for split in simulated.splits:
        ids, groups = simulated.ids(split), simulated.groups(split)
        examples = [Example(i, "q", "s", "a", group=f"{split}-{g}") for i, g in zip(ids, groups, strict=True)]
        store.write_examples(run, split, examples)
        for checkpoint in checkpoints:
            _write_scores(run, checkpoint.name, split, ids, simulated.drawn_nll(checkpoint.name, split))
            samples = _samples(ids, simulated.drawn_answers(checkpoint.name, split))
            store.write_samples(run, checkpoint.name, split, samples, weights="w", request="r")
    return simulated


def _write_scores(run: store.Run, checkpoint: str, split: str, ids: Sequence[str], sums: np.ndarray) -> None:
    """What `store.write_scores` writes, without going through lists: thousands of runs are written."""
    flat = np.repeat(-sums / TOKENS, TOKENS).astype(np.float32)
    values: dict[str, Any] = {"token_id": 0, "logprob": flat, "is_argmax": True}
    columns = {
        name: _lists(np.broadcast_to(values.get(name, 0.0), flat.shape), kind.inner, TOKENS) for name, kind in _KINDS
    }
    tempered = _lists(np.repeat(sums, len(TEMPERATURES)), pl.Float64, len(TEMPERATURES))
    frame = pl.DataFrame({"example_id": list(ids), **columns, "tempered_nll": tempered})
    path = run.unit_path(checkpoint, split, "scores")
    write_frame(path, frame, weights="w", request="r", truncated="0")


_KINDS = [(name, kind) for name, kind in SCORES.items() if name not in ("example_id", "tempered_nll")]


def _lists(flat: np.ndarray, kind: Any, width: int) -> pl.Series:
    """A column of lists of equal length."""
    return pl.Series(flat, dtype=kind).reshape((-1, width)).arr.to_list()


def _samples(ids: Sequence[str], right: np.ndarray) -> Samples:
    count = right.shape[1]
    draw = np.tile(np.arange(count, dtype=np.int32), len(ids))
    texts = ("",) * len(draw)
    ones = np.ones(len(draw), np.int32)
    return Samples(
        tuple(i for i in ids for _ in range(count)),
        draw,
        np.where(draw > 0, 0.7, 0.0).astype(np.float32),
        texts,
        ones,
        -ones.astype(np.float32),
        ("eos",) * len(draw),
        texts,
        right.ravel(),
    )
