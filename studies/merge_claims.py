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
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from overmem import statistics, store
from overmem.records import Estimate
from overmem.records.searches import MergeSearch
from overmem.search.candidates import Trajectory
from overmem.search.decision import Audited, decide
from overmem.verdict.selection import choices
from studies.merge_worlds import Equal, Simulated, written
from studies.page import table
from studies.promises import shown


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
    done: list[list[bool]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return done


def claims_table(folder: Path) -> str:
    """How often a merge is recommended, in what was simulated."""
    rows: list[tuple[object, ...]] = []
    nulls: list[list[bool]] = []
    for what, world in EVERY.items():
        done = claimed(world, folder)
        if not done:
            continue
        nulls += done if what in CASES else []
        recommended, false = (statistics.share(sum(run[i] for run in done), len(done)) for i in (0, 1))
        is_null = what in CASES
        held = _held(false) if is_null else "–"
        limit = "at most 5" if is_null else "–"
        rows.append((what, world.n, len(done), shown(recommended), shown(false), limit, held))
    if nulls:
        false = statistics.share(sum(run[1] for run in nulls), len(nulls))
        rows.append(("all that are equal in truth", "–", len(nulls), "–", shown(false), "at most 5", _held(false)))
    head = ("run", "n", "runs", "a merge is recommended, %", "falsely, %", "limit, %", "held")
    return table(head, rows)


def _held(false: Estimate) -> str:
    """Whether the interval lies below the limit, above it, or neither."""
    low, high = false.low or 0.0, 1.0 if false.high is None else false.high
    return "yes" if high <= 0.05 else "**no**" if low > 0.05 else "too few runs to tell"


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
