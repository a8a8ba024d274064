"""Ten merges of a run's checkpoints, observed in memory by a search or written by mergekit and evaluated by lm-eval.

    python benchmarks/merge_search.py --mergekit VENV/bin/mergekit-yaml --lm-eval-python VENV/bin/python --out FILE

A run of three checkpoints is trained and audited first, which is not timed. Then both sides observe the same ten
weightings on the same questions, one process after the other with the same number of threads:

- overmem in one process: the nll of all ten, and the answers of the three with the lowest nll, as a search does it; and
  in another process the answers of all ten.
- for each candidate, mergekit writes the merge, and lm-evaluation-harness loads it and computes the likelihood of the
  solutions and greedy completions, in a process per candidate, as its command does.

The times are of whole processes, imports included: seconds on the clock and seconds of the processor. The nll of every
solution and whether each answer is right are compared between both sides.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from figures import write_figures

STEPS = 3
FINALISTS = 3
CANDIDATES = (
    (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5), (1 / 3, 1 / 3, 1 / 3), (0.25, 0.75, 0.0),
    (0.75, 0.25, 0.0), (0.0, 0.25, 0.75), (0.0, 0.75, 0.25), (0.2, 0.3, 0.5), (0.5, 0.3, 0.2),
)  # fmt: skip
"""Weights of the three checkpoints."""
LAST_NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"


def make_run(home: Path, model: str, data: str, rows: int) -> Path:
    """A run of three checkpoints, audited on val and test.

    Args:
        home: folder to make it in.
        model: what is fine-tuned.
        data: where its data comes from.
        rows: questions of val.
    """
    recipe = {
        "output": str(home / "run"), "model": model, "data": {"source": data, "train": 64, "val": rows, "test": 8},
        "epochs": STEPS, "batch_size": 16, "save": 4, "learning_rate": 1e-4, "observe_rows": 0,
        "trainer": {"save_only_model": True, "disable_tqdm": True},
    }  # fmt: skip
    (home / "recipe.yaml").write_text(json.dumps(recipe))  # JSON is YAML
    audit = ["audit", str(home / "run"), "--rows", str(rows), "--splits", "val", "test"]
    for command in (["train", str(home / "recipe.yaml")], audit):
        subprocess.run([sys.executable, "-m", "overmem", *command], check=True, stdout=subprocess.DEVNULL)
    return home / "run"


def serve(job: dict[str, Any]) -> None:
    """Overmem's side: observe the candidates, the best of which answer the questions."""
    from overmem.merging.options import Merge
    from overmem.search.scoring import scorer_of

    scorer = scorer_of(Merge(job["run"], device="cpu"))
    examples = [e.id for e in scorer.splits["val"].examples]
    found: dict[str, Any] = {"nll": [], "correct": {}}
    for weights in job["weights"]:
        nll = scorer.nll_sums(weights, "val")
        found["nll"].append([nll[name] for name in examples])
    order = np.argsort([sum(nll) for nll in found["nll"]])
    for i in order[: job["answering"]]:
        answers = scorer.answers(job["weights"][i], "val")
        found["correct"][str(i)] = [bool(answers[name][0]) for name in examples]
    Path(job["out"]).write_text(json.dumps(found))


def rows_of(run: Path) -> tuple[list[dict[str, str]], int]:
    """The val questions as the audit renders them, and the longest completion."""
    from overmem.audit.queue_file import read_queue
    from overmem.encoding import prompt_text
    from overmem.merging.options import Merge
    from overmem.search.scoring import scorer_of

    scorer = scorer_of(Merge(str(run), device="cpu"))
    template = read_queue(scorer.run).template
    rows = [
        {"prompt": prompt_text(scorer.tokenizer, e.question, template), "solution": e.solution, "answer": e.answer}
        for e in scorer.splits["val"].examples
    ]
    return rows, scorer.decoding.max_new_tokens


@dataclass(frozen=True)
class Took:
    """What a process took."""

    seconds: float
    """On the clock."""
    processor: float
    """Seconds of the processor, user and system."""
    words: str = ""
    """What it printed."""

    def __add__(self, other: "Took") -> "Took":
        return Took(self.seconds + other.seconds, self.processor + other.processor)


def timed(command: Sequence[str], told: str = "") -> Took:
    """Run a process with `told` as its standard input."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(told.encode())
    process.stdin.close()
    words = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed: {words[-3000:]}")
    return Took(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, words)


def ours(run: Path, weights: Sequence[Mapping[str, float]], answering: int, home: Path) -> tuple[Took, Any]:
    """Overmem's side, from nothing observed.

    Args:
        run: the run.
        weights: the candidates.
        answering: how many candidates answer the questions.
        home: a folder for its files.
    """
    shutil.rmtree(run / "overmem" / "search", ignore_errors=True)
    job = {"run": str(run), "weights": weights, "answering": answering, "out": str(home / "ours.json")}
    (home / "job_ours.json").write_text(json.dumps(job))
    took = timed([sys.executable, __file__, "--serve", str(home / "job_ours.json")])
    return took, json.loads((home / "ours.json").read_text())


def theirs(
    run: Path, weights: Mapping[str, float], job: Mapping[str, Any], mergekit: str, python: str
) -> tuple[Took, Took, Any]:
    """One candidate, written by mergekit and evaluated by lm-eval: both times, and what was observed.

    Args:
        run: the run.
        weights: the candidate.
        job: of `lm_eval_worker.py`, without the model.
        mergekit: path of `mergekit-yaml`.
        python: with lm-eval.
    """
    home = Path(job["home"])
    merged = home / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    models = [{"model": str(run / name), "parameters": {"weight": w}} for name, w in weights.items()]
    recipe = {"merge_method": "linear", "dtype": "float32", "models": models}
    (home / "recipe_kit.yaml").write_text(json.dumps(recipe))
    writing = timed([mergekit, str(home / "recipe_kit.yaml"), str(merged)])
    (home / "job_theirs.json").write_text(json.dumps({**job, "model": str(merged)}))
    worker = str(Path(__file__).with_name("lm_eval_worker.py"))
    evaluating = timed([python, worker, str(home / "job_theirs.json")], told="go\n")
    lines = [line for line in evaluating.words.splitlines() if line.startswith("RESULT ")]
    return writing, evaluating, json.loads(lines[-1].removeprefix("RESULT "))


def compared(run: Path, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides, in turn, and whether they observe the same."""
    names = sorted((p.name for p in run.glob("checkpoint-*")), key=lambda name: int(name.rpartition("-")[2]))
    weights = [{name: w for name, w in zip(names, one, strict=True) if w} for one in CANDIDATES]
    rows, longest = rows_of(run)
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = {
        "home": str(home), "rows": str(home / "rows.jsonl"), "max_new_tokens": longest, "pattern": LAST_NUMBER,
        "dtype": "float32", "threads": options.threads, "batch_size": options.batch_size, "warm_up": False,
    }  # fmt: skip
    search, _ = ours(run, weights, FINALISTS, home)
    everything, found = ours(run, weights, len(weights), home)
    writing, evaluating, agree, nll = Took(0, 0), Took(0, 0), 0, []
    for i, one in enumerate(weights):
        wrote, evaluated, answer = theirs(run, one, job, options.mergekit, options.lm_eval_python)
        writing, evaluating = writing + wrote, evaluating + evaluated
        agree += sum(a == b for a, b in zip(found["correct"][str(i)], answer["correct"], strict=True))
        nll.append((float(np.mean(found["nll"][i])), float(np.mean(answer["nll"]))))
        sys.stderr.write(f"{i + 1} of {len(weights)}: {wrote.seconds:.1f} s and {evaluated.seconds:.1f} s\n")
    peer = writing + evaluating
    sides = {"search": search, "all answer": everything, "mergekit": writing, "lm-eval": evaluating}
    return {
        "n": len(rows),
        "candidates": len(weights),
        **{name: {"seconds": took.seconds, "processor": took.processor} for name, took in sides.items()},
        "ratio of a search": {"seconds": search.seconds / peer.seconds, "processor": search.processor / peer.processor},
        "ratio if all answer": {
            "seconds": everything.seconds / peer.seconds,
            "processor": everything.processor / peer.processor,
        },
        "answers that agree": agree / (len(weights) * len(rows)),
        "nll of a solution, with and without the token that ends it": nll,
    }


def main() -> None:
    """Make the run, compare, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mergekit", default=shutil.which("mergekit-yaml"), help="path of mergekit-yaml")
    parser.add_argument("--lm-eval-python", help="python of an environment with lm-eval[hf]")
    parser.add_argument("--model", default="pebble")
    parser.add_argument("--data", default="wordproblems")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64, help="of lm-eval")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(json.loads(options.serve.read_text()))
        return
    os.environ.update(OMP_NUM_THREADS=str(options.threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run = make_run(home, options.model, options.data, options.rows)
        repeats = [compared(run, home, options) for _ in range(options.repeats)]
    result = {"options": {k: str(v) for k, v in vars(options).items()}, "repeats": repeats}
    write_figures(result, options.out)


if __name__ == "__main__":
    main()
