"""Greedy accuracy and perplexity by overmem and by lm-evaluation-harness: same machine, checkpoint, examples, prompts.

Each side runs in its own process, which loads the model once, warms up on two examples, and then alternates with the
other: even repeats begin with overmem, odd ones with lm-eval. Both use the same number of threads. overmem's time
includes tokenizing, scoring (with all columns that it records), completing, reading answers and grading, as in an
audit; lm-eval's is that of its two request methods alone, at the fastest of the batch sizes that were tried.

Also reported: how the texts, the correct answers and the nll compare example by example; the floor, which is what the
machine can multiply and read per second, and how far scoring and completing are from it; and the cost of recording
every column.

    python benchmarks/audit.py --lm-eval-python VENV/bin/python --out docs/results/audit_speed.json
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from audit_floor import floors, machine, recording
from audit_job import BUDGET, Job, examples_of, load_model, split_of, spread
from figures import write_figures

from overmem.encoding import PLAIN, prompt_text
from overmem.grading import with_grades
from overmem.models.discovery import base_path
from overmem.observe.engines.decoding import EngineSettings
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.engines.packed import packed
from overmem.observe.plan import Split
from overmem.observe.shared_prefill import score_and_sample
from overmem.records import Example, Samples, Scores

Side = subprocess.Popen[str]
LAST_NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"


class StepCounter:
    """Counts a model's steps, and the rows of all steps."""

    def __init__(self, model: Any) -> None:
        self.steps = self.rows = 0
        model.register_forward_pre_hook(self.note, with_kwargs=True)

    def note(self, _: Any, __: Any, inputs: dict[str, Any]) -> None:
        """Count one forward pass of the model."""
        rows, width = inputs["input_ids"].shape
        self.steps += width == 1
        self.rows += rows * (width == 1)


def serve(job: Job) -> None:
    """Overmem's side: one repeat for each line on stdin."""
    torch.set_num_threads(job["threads"])
    model, tokenizer = load_model(job)
    examples = examples_of(job)
    observe_timed(job, model, tokenizer, examples[:2])
    write_answer({})
    counter = StepCounter(model)
    for _ in sys.stdin:
        counter.steps = counter.rows = 0
        seconds, split, scored, drawn = observe_timed(job, model, tokenizer, examples)
        place = {e.example_id: i for i, e in enumerate(split.encoded)}
        order = [place[e.id] for e in examples]
        ends = scored.offsets[1:] - 1  # lm-eval does not score the token that ends a solution
        nll = scored.nll_sums + scored.logprob[ends]
        result = {
            "seconds": seconds,
            "texts": [drawn.text[i] for i in order],
            "correct": [bool(drawn.correct[i]) for i in order],
            "nll": [float(nll[i]) for i in order],
            "counts": {
                "steps": counter.steps,
                "step_rows": counter.rows,
                "read_tokens": sum(len(e.input_ids) for e in split.encoded),
                "solution_tokens": split.solution_tokens,
            },
        }
        write_answer(result)


def write_answer(result: dict[str, Any]) -> None:
    """Print the result as one line for the process that started this one."""
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")
    sys.stdout.flush()


def observe_timed(job: Job, model: Any, tokenizer: Any, examples: list[Example]) -> tuple[Any, Split, Scores, Samples]:
    """What an audit observes on the examples, and the seconds that each part took."""
    times = [time.perf_counter()]
    split, decoding = split_of(job, tokenizer, examples)
    times.append(time.perf_counter())
    engine = HuggingFace(EngineSettings(token_budget=BUDGET), model)
    with packed(model):
        scored, completions = score_and_sample(engine, model, tokenizer, split, decoding, BUDGET)
        drawn = with_grades(completions, split.examples)
    times.append(time.perf_counter())
    spans = [b - a for a, b in itertools.pairwise(times)]
    return dict(zip(("tokenize", "observe"), spans, strict=True)), split, scored, drawn


def start_side(python: str, script: str, arguments: list[str]) -> Side:
    """Start the process of one side, and wait until it is ready."""
    side = subprocess.Popen(
        [python, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    read_answer(side)
    return side


def read_answer(side: Side) -> dict[str, Any]:
    """Read the next answer that a side prints."""
    assert side.stdout is not None
    for line in side.stdout:
        if line.startswith("RESULT "):
            return dict(json.loads(line.removeprefix("RESULT ")))
    raise SystemExit(f"{side.args} ended without an answer")


def run_repeat(side: Side) -> dict[str, Any]:
    """Let a side do one repeat; returns its answer."""
    assert side.stdin is not None
    side.stdin.write("go\n")
    side.stdin.flush()
    return read_answer(side)


def compare_sides(job: Job, python: str, folder: Path, batch_sizes: list[int], repeats: int) -> dict[str, Any]:
    """Both sides, alternating; lm-eval at the batch size that was fastest in one repeat of each."""
    path = folder / "job.json"

    def lm_eval(batch_size: int) -> Side:
        path.write_text(json.dumps(job | {"batch_size": batch_size, "model": base_path(job["model"])}))
        return start_side(python, str(Path(__file__).with_name("lm_eval_worker.py")), [str(path)])

    (folder / "job_ours.json").write_text(json.dumps(job))
    seconds_by_size = {}
    for size in batch_sizes:
        side = lm_eval(size)
        seconds_by_size[size] = sum(run_repeat(side)["seconds"].values())
        side.kill()
        side.wait()
    best = min(seconds_by_size, key=lambda size: seconds_by_size[size])
    ours = start_side(sys.executable, __file__, ["--serve", str(folder / "job_ours.json")])
    theirs = lm_eval(best)
    turns = []
    for repeat in range(repeats):
        first, second = (ours, theirs) if repeat % 2 == 0 else (theirs, ours)
        answers = {id(side): run_repeat(side) for side in (first, second)}
        turns.append((answers[id(ours)], answers[id(theirs)]))
    for side in (ours, theirs):
        side.kill()
    return {"batch_sizes": seconds_by_size, "batch_size": best, **summary(job, turns)}


def summary(job: Job, turns: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Examples per second of both, their ratio in each repeat, and what differs between the answers."""
    n = len(turns[0][0]["texts"])
    totals = [(sum(a["seconds"].values()), sum(b["seconds"].values())) for a, b in turns]
    our_answer, their_answer = turns[0]
    pairs = list(zip(our_answer["texts"], (t.strip() for t in their_answer["texts"]), strict=True))
    differing = [
        {"i": i, "overmem": a, "lm_eval": b, "correct": (our_answer["correct"][i], their_answer["correct"][i])}
        for i, (a, b) in enumerate(pairs)
        if a != b or our_answer["correct"][i] != their_answer["correct"][i]
    ]
    return {
        "examples": n,
        "overmem_per_second": spread([n / a for a, _ in totals]),
        "lm_eval_per_second": spread([n / b for _, b in totals]),
        "ratio": spread([b / a for a, b in totals]),
        "seconds": [{"overmem": a["seconds"], "lm_eval": b["seconds"]} for a, b in turns],
        "texts_equal": sum(a == b for a, b in pairs),
        "correct": (sum(our_answer["correct"]), sum(their_answer["correct"])),
        "correct_agree": sum(a == b for a, b in zip(our_answer["correct"], their_answer["correct"], strict=True)),
        "differing": differing,
        "nll_most_apart": float(np.abs(np.subtract(our_answer["nll"], their_answer["nll"])).max()),
        "nll": (sum(our_answer["nll"]), sum(their_answer["nll"])),
        "counts": our_answer["counts"],
    }


def main() -> None:
    """Run the comparison and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm-eval-python", help="python of an environment with lm-eval[hf]")
    parser.add_argument("--model", default="pebble")
    parser.add_argument("--data", default="wordproblems")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument("--pattern", default=LAST_NUMBER, help="the last match is lm-eval's answer")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(json.loads(options.serve.read_text()))
        return
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        job: Job = {
            "model": options.model,
            "data": options.data,
            "rows_count": options.rows,
            "max_new_tokens": options.max_new_tokens,
            "pattern": options.pattern,
            "threads": options.threads,
            "dtype": options.dtype,
            "rows": str(folder / "rows.jsonl"),
        }
        _, tokenizer = load_model(job)
        examples = examples_of(job)
        rows = [
            {"prompt": prompt_text(tokenizer, e.question, PLAIN), "solution": e.solution, "answer": e.answer}
            for e in examples
        ]
        Path(job["rows"]).write_text("".join(json.dumps(row) + "\n" for row in rows))
        speed = machine(options.threads)
        costs = compare_sides(job, options.lm_eval_python, folder, options.batch_sizes, options.repeats)
        result = {
            "options": {k: str(v) for k, v in vars(options).items()},
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "load_average": os.getloadavg(),
            "machine": speed,
            **costs,
            "floor": floors(job, costs, speed),
            "recording": recording(job, folder, max(2, options.repeats // 2)),
        }
    write_figures(result, options.out)


if __name__ == "__main__":
    main()
