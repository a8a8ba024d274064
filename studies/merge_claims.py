"""How often a search recommends a merge as better when every candidate is equal in truth.

A run is simulated and written as an audit leaves it; the search reads it and decides on simulated candidates. Each has
the same probability of answering a question rightly as every checkpoint, and answers of its own.

`python -m studies.merge_claims --runs 200` can be stopped, and resumes where it was; `python -m studies.merge_page`
writes docs/results/merge_search.md from what it has simulated.
"""

import argparse
import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from overmem import statistics, store
from overmem.probes.draws import pass_at
from overmem.records import TEMPERATURES, Checkpoint, Example, Plan, PlannedSplit, Samples
from overmem.records.searches import MergeSearch
from overmem.search.candidates import Trajectory, Weights
from overmem.search.decision import Audited, decide
from overmem.seeds import generator
from overmem.store.files import write_frame
from overmem.store.units import SCORES
from overmem.verdict.selection import choices
from studies.page import table
from studies.promises import shown
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
    values = {"token_id": 0, "logprob": flat, "is_argmax": True}
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


def searched(world: Equal, seed: int) -> tuple[MergeSearch, Simulated]:
    """One run, searched."""
    with tempfile.TemporaryDirectory() as folder:
        simulated = written(world, seed, Path(folder))
        curves = {split: store.read_curves(simulated.run, split) for split in simulated.splits}
        val, test = curves["val"], curves["test"]
        tokens = val.token_counts.sum()
        nll = {c.name: float(val.nll_sums[i].sum() / tokens) for i, c in enumerate(val.checkpoints)}
        choice, _ = choices(val, test, on_disk=set(nll))
        assert choice is not None
        assert choice.checkpoint is not None
        sides = {name: c for name, c in curves.items() if name.startswith("ood-")}
        run = Trajectory(list(nll), nll, choice.checkpoint)
        return decide(simulated, run, Audited(val, test, sides))[0], simulated


@dataclass(frozen=True)
class Claim:
    """What one search claims."""

    recommended: bool
    false: bool
    """Recommended, though the winner is neither more accurate in truth nor lower in nll."""


def claim(world: Equal, seed: int) -> Claim:
    """One search of one run."""
    result, simulated = searched(world, seed)
    if result.winner is None:
        return Claim(False, False)
    winner, single = simulated.luck(simulated.key(result.winner.weights)), simulated.luck(result.single)
    is_better = winner[0] > single[0] or winner[1] < single[1]
    return Claim(result.recommended, result.recommended and not is_better)


CASES: Mapping[str, Equal] = {
    "equal": Equal(),
    "equal, n = 200": Equal(n=200),
    "equal, n = 2,000": Equal(n=2000),
    "equal, answers differ in 4%": Equal(discordance=0.04),
    "equal, accuracy 0.5, answers differ in 20%": Equal(accuracy=0.5, discordance=0.2),
    "equal, 20 checkpoints": Equal(checkpoints=20),
    "equal, four rows per question": Equal(n=1000, rows_per_question=4),
    "equal, with pass@4 and two ood splits": Equal(draws=4, sides=2),
}
LUCKY: Mapping[str, Equal] = {
    "luck: accuracy 1 point, nll 2%": replace(Equal(), accuracy_luck=0.01, nll_luck=0.02),
    "luck: accuracy 1 point": replace(Equal(), accuracy_luck=0.01),
}
"""Merges that differ in truth, each by luck: recommending one may be right."""
BETTER: Mapping[str, Equal] = {
    "every merge two points more accurate": Equal(gain=0.02),
    "every merge four points more accurate": Equal(gain=0.04),
    "every merge as accurate, nll 5% lower": Equal(lower=0.05),
    "every merge as accurate, nll 5% lower, n = 2,000": Equal(n=2000, lower=0.05),
}
"""Merges that are better in truth: recommending one is right."""
EVERY: Mapping[str, Equal] = {**CASES, **LUCKY, **BETTER}


CHUNK = 10
"""Runs that are simulated before they are saved."""


def simulate(runs: int, folder: Path, cases: Mapping[str, Equal]) -> None:
    """Simulate runs of every case in turn, a few at a time; what was simulated before is kept."""
    for end in range(CHUNK, runs + CHUNK, CHUNK):
        for what, world in cases.items():
            done = claimed(world, folder)
            if len(done) >= min(end, runs):
                continue
            made = [claim(world, seed) for seed in range(len(done), min(end, runs))]
            store.write_json(_path(world, folder), [*done, *([c.recommended, c.false] for c in made)])
            print(f"{what}: {min(end, runs)} of {runs} runs", flush=True)  # noqa: T201


def _path(world: Equal, folder: Path) -> Path:
    return folder / f"{zlib.crc32(repr(world).encode()):08x}.json"


def claimed(world: Equal, folder: Path) -> list[list[bool]]:
    """Whether a merge was recommended, and falsely, for every run that was simulated."""
    path = _path(world, folder)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def claims_table(folder: Path) -> str:
    """How often a merge is recommended, in what was simulated."""
    rows, nulls = [], list[list[bool]]()
    for what, world in EVERY.items():
        done = claimed(world, folder)
        if not done:
            continue
        nulls += done if what in CASES else []
        recommended, false = (statistics.share(sum(run[i] for run in done), len(done)) for i in (0, 1))
        is_null = what in CASES
        held = ("yes" if (false.value or 0.0) <= 0.05 else "**no**") if is_null else "–"
        limit = "at most 5" if is_null else "–"
        rows.append((what, world.n, len(done), shown(recommended), shown(false), limit, held))
    if nulls:
        false = statistics.share(sum(run[1] for run in nulls), len(nulls))
        held = "yes" if (false.high or 1.0) <= 0.05 else "not shown"
        rows.append(("all that are equal in truth", "–", len(nulls), "–", shown(false), "at most 5", held))
    head = ("run", "n", "runs", "a merge is recommended, %", "falsely, %", "limit, %", "held")
    return table(head, rows)


def main() -> None:
    """Simulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each case")
    parser.add_argument("--folder", type=Path, default=Path("runs/merge_claims"), help="where results are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for part in (CASES, EVERY):
        simulate(options.runs, options.folder, part)


if __name__ == "__main__":
    main()
