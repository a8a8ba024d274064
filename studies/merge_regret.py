"""Which choice of a run's weights loses least: the last checkpoint, the best one, three merges, or a searched merge.

`python -m studies.merge_regret --runs runs/merge_regret` trains the runs, audits, diagnoses and searches them, and
compares the choices on questions that none of them has seen. It can be stopped, and resumes where it was;
`python -m studies.merge_page` writes docs/results/merge_search.md from its outcomes.
"""

import argparse
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from overmem import store
from overmem.audit import Audit, audit
from overmem.audit.queue_file import read_queue
from overmem.diagnose import Diagnose, diagnose
from overmem.merging.options import Merge
from overmem.observe.plan import planned
from overmem.search.scoring import CandidateScorer, scorer_of
from overmem.search.verb import search
from overmem.tasks import Data, load
from overmem.training.recipe import Recipe
from overmem.training.verb import train
from studies.merge_runs import CELLS, CHOICES, FRESH, SEEDS, Size


def recipe(cell: str, seed: int, size: Size, runs: Path) -> Recipe:
    """The fine-tune of one cell and seed."""
    steps = -(-size.train // size.batch_size) * size.epochs
    return Recipe(
        output=str(runs / f"{cell.replace(', ', '-').lower()}-{seed}"),
        data=Data(train=size.train, val=size.val, test=size.test, seed=seed, options={"ood": 0}),
        epochs=size.epochs,
        batch_size=size.batch_size,
        save=round(steps / size.checkpoints),
        observe_rows=0,
        seed=seed,
        trainer={"logging_steps": 50, "save_only_model": True, "disable_tqdm": True},
        **CELLS[cell],
    )


def audited(cell: str, seed: int, size: Size, runs: Path) -> store.Run:
    """A run that was trained, audited on val and test, and diagnosed."""
    root = Path(recipe(cell, seed, size, runs).output)
    run = store.Run(root, root / store.HOME)
    if not run.verdict_path.is_file():
        run = train(recipe(cell, seed, size, runs))
        audit(Audit(str(run.root), rows=max(size.val, size.test), splits=("val", "test"), token_budget=65536))
        diagnose(Diagnose(str(run.root)))
    return run


def with_fresh(scorer: CandidateScorer, data: Data, size: Size) -> CandidateScorer:
    """The scorer, with questions of the same distribution that are in none of the run's splits."""
    known = {e.question for part in load(data).splits.values() for e in part}
    made = load(replace(data, seed=data.seed + 10_000, train=0, val=0, test=size.fresh + 100)).splits["test"]
    kept = [e for e in made if e.question not in known][: size.fresh]
    queue = read_queue(scorer.run)
    split = planned(
        scorer.tokenizer,
        {FRESH: kept},
        scorer.decoding,
        rows={FRESH: len(kept)},
        context=queue.context,
        template=queue.template,
    )[FRESH]
    return replace(scorer, splits={**scorer.splits, FRESH: split})


def outcome(cell: str, seed: int, size: Size, runs: Path) -> dict[str, Any]:
    """Fresh accuracy and nll per token of every choice of one run."""
    run = audited(cell, seed, size, runs)
    path = run.root / "outcome.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    start = time.process_time()
    result = search(Merge(str(run.root), search=True, path=False, device="cpu"))
    seconds = time.process_time() - start
    scorer = with_fresh(scorer_of(Merge(str(run.root), device="cpu")), recipe(cell, seed, size, runs).data, size)
    names = [c.name for c in store.read_checkpoints(run) if c.step > 0 and not c.merged_from]
    pick = dict(result.winner.weights) if result.winner is not None else {result.single: 1.0}
    weights: dict[str, Mapping[str, float]] = {
        "last": {names[-1]: 1.0},
        "best single": {result.single: 1.0},
        "the paper's pair": {result.single: 0.5, names[-1]: 0.5} if result.single != names[-1] else {names[-1]: 1.0},
        "uniform soup": dict.fromkeys(names, 1 / len(names)),
        "the search's pick": pick,
        "search, confirmed": pick if result.recommended else {result.single: 1.0},
    }
    content = {
        "cell": cell,
        "seed": seed,
        "regime": store.read_verdict(run).regime,
        "choices": {name: _measured(scorer, weights[name]) for name in CHOICES},
        "picked": None if result.winner is None else result.winner.rule,
        "recommended": result.recommended,
        "candidates": len(result.candidates),
        "search_seconds": seconds,
    }
    store.write_json(path, content)
    for folder in run.root.glob("checkpoint-*"):
        shutil.rmtree(folder)
    return content


def _measured(scorer: CandidateScorer, weights: Mapping[str, float]) -> dict[str, float]:
    nll, answers = scorer.nll_sums(weights, FRESH), scorer.answers(weights, FRESH)
    tokens = sum(len(e.solution_ids) for e in scorer.splits[FRESH].encoded)
    return {
        "accuracy": float(np.mean([right for right, _ in answers.values()])),
        "nll": sum(nll.values()) / tokens,
        "n": len(answers),
    }


def main() -> None:
    """Train, audit and search every run, all cells of one seed after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/merge_regret"))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=list(CELLS))
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for cell in options.cells:
            begun = time.process_time()
            audited(cell, seed, Size(), options.runs)
            trained = time.process_time()
            outcome(cell, seed, Size(), options.runs)
            seconds = trained - begun, time.process_time() - trained
            print(f"{cell}, seed {seed}: {seconds[0]:.0f} s and {seconds[1]:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
