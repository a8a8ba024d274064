"""Every loss on pebble: the same budget, learning rates chosen on validation data, several seeds, and the costs.

`python -m studies.losses --runs runs/losses --out docs/results/losses.md` trains, audits and writes the page. It
can be stopped, and resumes where it was.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from overmem import statistics, store
from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.probes.draws import pass_at
from overmem.records import Curves, Estimate, Samples
from overmem.tasks import Data
from overmem.training.recipe import Recipe
from overmem.training.verb import train

ARMS: Mapping[str, Mapping[str, Any]] = {
    "nll": {},
    "mar": {"loss": "mar"},
    "mar, gradient through the weight": {"loss": "mar", "loss_knobs": {"stop_gradient": False}},
    "focal": {"loss": "focal"},
    "dft": {"loss": "dft"},
    "tsallis": {"loss": "tsallis"},
    "deft": {"loss": "deft"},
    "eaft": {"loss": "eaft"},
    "gem": {"loss": "gem"},
    "label_smoothing": {"loss": "label_smoothing"},
    "confidence_penalty": {"loss": "confidence_penalty"},
    "goldfish": {"loss": "goldfish"},
    "rho": {"loss": "rho"},
    "asft": {"loss": "asft"},
    "nll with neftune": {"trainer": {"neftune_noise_alpha": 5.0}},
}
"""What the recipe of an arm has in addition to the budget. Other knobs have the defaults of the losses."""
RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates that each arm may choose from."""
TUNING = 0
"""Seed of the runs that choose; the reported ones have others, so other problems, order and verdict."""
SEEDS = (1, 2, 3)
DRAWS = 8
OOD = ("ood-domain", "ood-longer")


@dataclass(frozen=True)
class Budget:
    """What every arm gets."""

    train: int = 96
    epochs: float = 16.0
    batch_size: int = 16
    checkpoints: int = 4
    val: int = 200
    test: int = 300
    side: int = 100
    """Problems of each ood split, and test problems that are drawn from DRAWS times."""


@dataclass(frozen=True)
class Outcome:
    """One run, at the checkpoint that was recommended on val or at its last one."""

    arm: str
    seed: int
    rate: float
    place: str
    """`recommended` or `last`."""
    checkpoint: str
    epoch: float
    regime: str
    nll: tuple[float, ...]
    """Summed nll of each test solution."""
    tokens: tuple[int, ...]
    correct: tuple[bool, ...]
    """Greedy, each test problem."""
    ood: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    passed: tuple[float, ...] = ()
    """pass@DRAWS of each test problem that was drawn from."""


def recipe(arm: str, rate: float, seed: int, budget: Budget, runs: Path) -> Recipe:
    """The fine-tune of one arm at one learning rate."""
    steps = -(-budget.train // budget.batch_size) * budget.epochs
    arm_says = dict(ARMS[arm])
    trainer = {"logging_steps": 50, "save_only_model": True, "disable_tqdm": True, **arm_says.pop("trainer", {})}
    return Recipe(
        output=str(runs / f"{arm.replace(', ', '-').replace(' ', '-')}_{rate:g}_{seed}"),
        data=Data(train=budget.train, val=budget.val, test=budget.test, seed=seed, options={"ood": budget.side}),
        learning_rate=rate,
        epochs=budget.epochs,
        batch_size=budget.batch_size,
        save=round(steps / budget.checkpoints),
        observe_rows=0,
        seed=seed,
        trainer=trainer,
        **arm_says,
    )


def tuned(arm: str, rate: float, budget: Budget, runs: Path) -> tuple[float, float]:
    """Best val accuracy over the checkpoints of a run, and minus the nll there: what a learning rate is chosen by."""
    run = train(recipe(arm, rate, TUNING, budget, runs))
    audit(Audit(str(run.root), rows=budget.val, splits=("val",), token_budget=65536))
    val = store.read_curves(run, "val")
    nll = val.nll_sums.sum(1) / val.token_counts.sum()
    accuracy = val.correct.mean(1)
    best = max(range(1, len(nll)), key=lambda i: (accuracy[i], -nll[i]))
    return float(accuracy[best]), -float(nll[best])


def measured(arm: str, rate: float, seed: int, budget: Budget, runs: Path) -> list[Outcome]:
    """One reported run: trained, judged on val, and looked at on test and ood at two checkpoints."""
    run = train(recipe(arm, rate, seed, budget, runs))
    audit(Audit(str(run.root), rows=budget.val, splits=("val",), token_budget=65536))
    verdict = diagnose(Diagnose(str(run.root)))
    last = verdict.checkpoints[-1].checkpoint.name
    chosen = verdict.best_of_run
    places = {"last": last} | ({"recommended": chosen} if chosen else {})
    names, drawn, splits = tuple(sorted({*places.values()})), run.root / "draws", ("test", *OOD)
    config = Audit(str(run.root), side_rows=budget.side, checkpoints=names, token_budget=65536)
    audit(replace(config, rows=budget.test, splits=splits))
    drawing = replace(config, data=str(run.recipe_path), splits=("test",), draws=DRAWS, out=str(drawn))
    audit(replace(drawing, rows=budget.side))
    sampled_run = store.open_run(run.root, drawn)
    curves = {split: store.read_curves(run, split) for split in splits}
    regimes = {v.checkpoint.name: v.regime for v in verdict.checkpoints}
    result = []
    for place, name in places.items():
        i = [c.name for c in curves["test"].checkpoints].index(name)
        test = curves["test"]
        result.append(
            Outcome(
                arm, seed, rate, place, name, test.checkpoints[i].epoch or 0.0, regimes[name],
                tuple(test.nll_sums[i].tolist()), tuple(test.token_counts.tolist()), _hits(test, i),
                {split: _hits(curves[split], i) for split in OOD},
                tuple(passes(store.read_samples(sampled_run, name, "test")).values()),
            )
        )  # fmt: skip
    return result


def _hits(curves: Curves, checkpoint: int) -> tuple[bool, ...]:
    return tuple(bool(hit) for hit in curves.correct[checkpoint])


def passes(samples: Samples) -> dict[str, float]:
    """Example id -> its pass@DRAWS from the draws at a temperature."""
    right: dict[str, list[bool]] = {}
    for name, draw, hit in zip(samples.example_ids, samples.draw, samples.correct, strict=True):
        if draw > 0:
            right.setdefault(name, []).append(bool(hit))
    return {name: pass_at(min(DRAWS, len(hits)), len(hits), sum(hits)) for name, hits in sorted(right.items())}


METRICS: Mapping[str, Callable[[Outcome], tuple[np.ndarray, np.ndarray]]] = {
    "test nll, nats/token": lambda o: (np.array(o.nll), np.array(o.tokens, float)),
    "test accuracy": lambda o: (np.array(o.correct, float), np.ones(len(o.correct))),
    "ood-domain accuracy": lambda o: (np.array(o.ood["ood-domain"], float), np.ones(len(o.ood["ood-domain"]))),
    "ood-longer accuracy": lambda o: (np.array(o.ood["ood-longer"], float), np.ones(len(o.ood["ood-longer"]))),
    f"pass@{DRAWS}": lambda o: (np.array(o.passed, float), np.ones(len(o.passed))),
}
"""What is reported: per-example numerators and denominators of a run."""


def level(outcomes: Sequence[Outcome], metric: str) -> Estimate:
    """The mean over seeds, the seed a random effect, with a 95% interval over seeds and examples."""
    parts = [METRICS[metric](o) for o in outcomes]
    values = [float(top.sum() / bottom.sum()) for top, bottom in parts]
    return statistics.across_seeds(values, [statistics.ratio_stderr(top, bottom) for top, bottom in parts])


def against(outcomes: Sequence[Outcome], plain: Sequence[Outcome], metric: str) -> Estimate:
    """The same minus plain cross-entropy's, paired by seed and by example."""
    values, errors = [], []
    by_seed = {o.seed: o for o in plain}
    for outcome in outcomes:
        (top, bottom), (other, below) = METRICS[metric](outcome), METRICS[metric](by_seed[outcome.seed])
        values.append(float(top.sum() / bottom.sum() - other.sum() / below.sum()))
        residual = (top - top.sum() / bottom.sum() * bottom) / bottom.mean()
        residual = residual - (other - other.sum() / below.sum() * below) / below.mean()
        errors.append(float(np.sqrt((residual @ residual) / (len(residual) - 1) / len(residual))))
    return statistics.across_seeds(values, errors)


def study(
    runs: Path, budget: Budget, arms: Sequence[str], seeds: Sequence[int], workers: int, report: Callable[[str], None]
) -> dict[str, Any]:
    """Everything that the page is written from, as plain data."""
    tries = {(arm, rate): partial(tuned, arm, rate, budget, runs) for arm in arms for rate in RATES}
    scores = _each(tries, workers, report, "choosing")
    rates = {arm: max(RATES, key=lambda rate: scores[arm, rate]) for arm in arms}
    jobs = {(arm, seed): partial(measured, arm, rates[arm], seed, budget, runs) for seed in seeds for arm in arms}
    outcomes = [o for result in _each(jobs, workers, report, "measuring").values() for o in result]
    chosen = {arm: {f"{rate:g}": scores[arm, rate][0] for rate in RATES} for arm in arms}
    return {"budget": asdict(budget), "tuning": chosen, "outcomes": [asdict(o) for o in outcomes]}


def _each(
    work: Mapping[Any, Callable[[], Any]], workers: int, report: Callable[[str], None], what: str
) -> dict[Any, Any]:
    """The results of independent pieces of work, done `workers` at a time, each on one thread."""
    start, results = time.perf_counter(), {}
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        pending = {pool.submit(piece): key for key, piece in work.items()}
        for done in as_completed(pending):
            if done.exception() is not None:
                pool.shutdown(wait=False, cancel_futures=True)
            results[pending[done]] = done.result()
            left = (time.perf_counter() - start) / len(results) * (len(work) - len(results)) / 60
            report(f"{what}: {len(results)} of {len(work)} runs, about {left:.0f} minutes left")
    return {key: results[key] for key in work}


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the study and write the page and its raw figures."""
    from studies.losses_page import page

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/losses"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/losses.md"))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(None if arguments is None else list(arguments))
    options.runs.mkdir(parents=True, exist_ok=True)
    result = study(
        options.runs,
        Budget(),
        options.arms,
        options.seeds,
        options.workers,
        lambda line: print(line, flush=True),  # noqa: T201
    )
    (options.runs / "outcomes.json").write_text(json.dumps(result), encoding="utf-8")
    store.write_text(options.out, page(result))


if __name__ == "__main__":
    main()
