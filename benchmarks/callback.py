"""Peak memory and time of one measurement of `OvermemCallback`, with and without answers, and the bound that it states.

The built-in word problems, greedy answers, each measurement in a process of its own: the peak above what the process
held with the model loaded (resident memory on a CPU, allocated memory on a GPU). The time of one
training step (16 rows, forward and backward) is reported too, so that times can be read in steps.

    python benchmarks/callback.py --repeats 3 --out docs/results/callback.json
    python benchmarks/callback.py --model path/to/model --token-budgets 8192 --side-rows 0 --max-new-tokens 32
"""

import argparse
import gc
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM

from overmem.callback.config import config_of, load_examples
from overmem.callback.evaluation_set import EvaluationSet, encode_evaluation_set
from overmem.callback.measure import log_metrics, measure_model, preserve_model_state
from overmem.callback.memory import memory_bound
from overmem.models.discovery import base_path, load_tokenizer
from overmem.tasks import Data

STEP_ROWS = 16


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_resident() -> int:
    """Bytes of this process in memory at the peak since `reset_peak`."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Reset the kernel's peak memory counter."""
    Path("/proc/self/clear_refs").write_text("5")


def first_two(plan: EvaluationSet) -> EvaluationSet:
    """The same plan with two examples per split, to load whatever a first measurement loads."""
    return replace(plan, splits={name: replace(s, encoded=s.encoded[:2]) for name, s in plan.splits.items()})


def with_times(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What `work` returns, and the seconds it took: wall clock and processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, {
        "seconds": round(time.perf_counter() - clock, 3),
        "processor_seconds": round(time.process_time() - processor, 3),
    }


def step(model: Any, plan: EvaluationSet) -> None:
    """One training step on the first rows of val, without the optimizer."""
    rows = [e.input_ids for e in plan.splits["val"].encoded[:STEP_ROWS]]
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    model(input_ids=ids, attention_mask=mask, labels=ids).loss.backward()
    model.zero_grad()
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def measure_once(options: argparse.Namespace, token_budget: int, answers: bool) -> dict[str, Any]:
    """One measurement, in a process that did nothing else."""
    torch.set_num_threads(options.threads)
    model: Any = AutoModelForCausalLM.from_pretrained(base_path(options.model), dtype=torch.float32).to(options.device)
    watch = config_of(
        {
            "data": Data("wordproblems", train=options.rows, val=options.rows, test=options.rows),
            "rows": options.rows,
            "side_rows": options.side_rows,
            "answers": answers,
            "seconds": options.seconds,
            "token_budget": token_budget,
            "max_new_tokens": options.max_new_tokens,
        }
    )
    plan = encode_evaluation_set(watch, load_examples(watch.data), model, load_tokenizer(options.model))
    with preserve_model_state(model):
        measure_model(model, watch, first_two(plan), token_budget=token_budget)
        gc.collect()
        before = resident()
        reset_peak()
        if options.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        result, times = with_times(lambda: measure_model(model, watch, plan, token_budget=token_budget))
    peak = torch.cuda.max_memory_allocated() if options.device == "cuda" else peak_resident()
    steps = [with_times(lambda: step(model, plan))[1] for _ in range(4)][1:]
    numbers = log_metrics(result.scores, result.samples)
    return {
        "token_budget": token_budget,
        "answers": answers,
        "bound_mib": round(memory_bound(watch, plan, model) / 2**20, 1),
        "peak_mib": round((peak - before) / 2**20, 1),
        "model_mib": round(sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20, 1),
        **times,
        **{f"step_{name}": statistics.median(s[name] for s in steps) for name in times},
        "scored": {name: len(s.example_ids) for name, s in result.scores.items()},
        "questions": int(numbers.get("eval_overmem_val_accuracy_n", 0)),
        "longest_prompt": max(len(e.prompt_ids) for e in plan.splits["val"].encoded),
        "max_new_tokens": plan.decoding.max_new_tokens,
        "mean_answer_tokens": round(float(result.samples["val"].token_count.mean()), 1) if result.samples else None,
        "accuracy": numbers.get("eval_overmem_val_accuracy"),
        "notes": list(result.notes),
    }


def main(argv: list[str]) -> None:
    """Measure each token budget and write one JSON file; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pebble")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--side-rows", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--token-budgets", type=int, nargs="+", default=[2048, 8192, 32768])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--answers-only", action="store_true", help="no measurement without answers")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("callback.json"))
    arguments = parser.parse_args(argv)
    about = {
        "command": f"python benchmarks/callback.py {' '.join(argv)}",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    rows: list[dict[str, Any]] = []
    cases = [(budget, answers) for budget in arguments.token_budgets for answers in (False, True)]
    for token_budget, answers in cases * arguments.repeats:
        if answers or not arguments.answers_only:
            with multiprocessing.get_context("spawn").Pool(1) as new_process:
                rows.append(new_process.apply(measure_once, (arguments, token_budget, answers)))
            sys.stderr.write(f"{rows[-1]}\n")
            arguments.out.write_text(json.dumps({"about": about, "measured": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
