"""Seconds and peak memory of `diagnose`, and of measuring, on one long run, for source trees given as arguments.

    git worktree add /tmp/old a6ffc98
    python benchmarks/diagnose.py /tmp/old . --checkpoints 200 --examples 2000 --rounds 3

The run is made once, through the store of the first tree, so that every later tree reads the same files. Each tree is
measured in a process of its own; rounds alternate between the trees.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SPLITS = ("train", "val", "test")

MAKE = """
import sys
from pathlib import Path
import numpy as np
from overmem import store
from overmem.records import TEMPERATURES, Example, Samples, Scores

root, steps, n, tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
root.mkdir(parents=True, exist_ok=True)
run = store.open_run(root)
names = ["base"] + [f"checkpoint-{10 * k}" for k in range(1, steps)]
for name in names[1:]:
    (root / name).mkdir(exist_ok=True)
splits = ("train", "val", "test")
checkpoints = [{"name": c, "step": 10 * k, "epoch": k / 10} for k, c in enumerate(names)]
plan = {"schema": 1, "splits": {s: {"request": "r"} for s in splits}, "checkpoints": checkpoints}
store.write_json(run.plan_path, plan)
random = np.random.default_rng(0)
flat = {s: random.gamma(2.0, 0.25, n * tokens) for s in splits}
easy = {s: random.random(n) for s in splits}
for s in splits:
    store.write_examples(run, s, [Example(f"{s}{i}", f"question {i}", f"solution {i}", str(i)) for i in range(n)])
for k, c in enumerate(names):
    t = k / max(1, steps - 1)
    level = 0.8 - 0.5 * min(1.0, 4 * t) + 0.45 * max(0.0, t - 0.25)
    right = 0.2 + 0.6 * min(1.0, 4 * t)
    for s in splits:
        nll = (flat[s] * (level if s != "train" else 0.8 * (1 - t) + 0.01)).astype(np.float32)
        ids = tuple(f"{s}{i}" for i in range(n))
        zero = np.zeros(n * tokens, np.float32)
        sums = nll.reshape(n, tokens).sum(1)
        tempered = np.stack([sums * (1 + (x - 1.2) ** 2) for x in TEMPERATURES], 1).astype(float)
        scores = Scores(
            ids, np.arange(0, n * tokens + 1, tokens), np.zeros(n * tokens, np.int32), -nll, entropy=nll,
            is_argmax=nll < 0.5, top1_logprob=-nll / 2, mean_logprob=-nll, std_logprob=np.ones_like(zero),
            tempered_nll=tempered,
        )
        store.write_scores(run, c, s, scores, weights="w", request="r")
        correct = easy[s] < right
        samples = Samples(
            ids, np.zeros(n, np.int32), np.zeros(n, np.float32), ("a worked solution of some length",) * n,
            np.full(n, tokens, np.int32), -sums.astype(np.float32), ("eos",) * n,
            tuple(str(i) if ok else "" for i, ok in enumerate(correct)), correct,
        )
        store.write_samples(run, c, s, samples, weights="w", request="r")
"""

DIAGNOSE = """
import json, resource, sys, time
start = time.perf_counter()
from overmem.diagnose import Diagnose, diagnose
verdict = diagnose(Diagnose(sys.argv[1]))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "MiB": peak, "regimes": [c.regime for c in verdict.checkpoints]}))
"""

MEASURE = """
import json, resource, sys, time
start = time.perf_counter()
from overmem import store
from overmem.probes.measure import measured
run = store.open_run(sys.argv[1])
read = getattr(store, "snapshot_reader", lambda run: lambda c: store.read_snapshot(run, c))(run)
rows = list(measured(store.read_checkpoints(run), read))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "MiB": peak, "regimes": len(rows)}))
"""


def run_python(tree: Path, code: str, *arguments: object) -> str:
    """What a process prints that imports overmem from `tree`."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    """Print one line per tree, and whether all trees agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", type=Path, nargs="+", help="source trees; the first one writes the run")
    parser.add_argument("--checkpoints", type=int, default=200)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=20, help="solution tokens per example")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", choices=("diagnose", "measure"), default="diagnose")
    parser.add_argument("--run", type=Path, help="keep the run here and use it again; by default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = options.run or Path(scratch) / "run"
        if not run.is_dir():
            run_python(options.trees[0], MAKE, run, options.checkpoints, options.examples, options.tokens)
        code = DIAGNOSE if options.what == "diagnose" else MEASURE
        results: dict[Path, list[dict[str, float]]] = {tree: [] for tree in options.trees}
        for _ in range(options.rounds):
            for tree in options.trees:
                results[tree].append(json.loads(run_python(tree, code, run).splitlines()[-1]))
        for tree, rounds in results.items():
            seconds = [r["seconds"] for r in rounds]
            sys.stdout.write(
                f"{tree}: {statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f}), "
                f"peak {max(r['MiB'] for r in rounds):.0f} MiB\n"
            )
        agree = len({json.dumps(r["regimes"]) for rounds in results.values() for r in rounds}) == 1
        sys.stdout.write("every tree gives the same regimes\n" if agree else "THE TREES DIFFER\n")


if __name__ == "__main__":
    main()
