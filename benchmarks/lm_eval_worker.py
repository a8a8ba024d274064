"""The other side of `benchmarks/audit.py`: lm-evaluation-harness on the same prompts, in its own environment.

    python benchmarks/lm_eval_worker.py JOB.json

The job names the model, a JSONL file of rows (prompt, solution, answer), the longest completion, the pattern that reads
an answer and the batch size. Each line on stdin is one repeat; each answer is one line that begins with RESULT. Only
lm-eval's two request methods are timed, tokenizing and batching with them; metrics and set-up are not counted.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager


def tasks_of(job: dict[str, Any], rows: str, folder: Path, name: str) -> list[str]:
    """Writes the two tasks, greedy completions and the likelihood of the solutions; returns their names."""
    shared = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": rows}},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "num_fewshot": 0,
    }
    greedy = shared | {
        "task": f"{name}_greedy",
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": job["max_new_tokens"]},
        "filter_list": [
            {
                "name": "answer",
                "filter": [
                    {"function": "regex", "regex_pattern": job["pattern"], "group_select": -1},
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    likelihood = shared | {
        "task": f"{name}_likelihood",
        "output_type": "loglikelihood",
        "doc_to_target": " {{solution}}",  # as it is: no delimiter is put before it
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}],
    }
    for task in (greedy, likelihood):
        (folder / f"{task['task']}.yaml").write_text(json.dumps(task))  # JSON is YAML
    return [str(greedy["task"]), str(likelihood["task"])]


def main() -> None:
    """Serves repeats until stdin ends."""
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    lm = HFLM(pretrained=job["model"], dtype=job["dtype"], device="cpu", batch_size=job["batch_size"])
    seconds: dict[str, float] = {}
    for method in ("generate_until", "loglikelihood"):
        record_seconds(lm, method, seconds)
    with tempfile.TemporaryDirectory() as home:
        few = Path(home) / "few.jsonl"
        few.write_text("".join(Path(job["rows"]).read_text().splitlines(keepends=True)[:2]))
        names = {
            "all": tasks_of(job, job["rows"], Path(home), "all"),
            "few": tasks_of(job, str(few), Path(home), "few"),
        }
        manager = TaskManager(include_path=home, include_defaults=False)
        if job.get("warm_up", True):
            evaluate_tasks(lm, names["few"], manager)
        write_answer({})
        for _ in sys.stdin:
            seconds.clear()
            samples = evaluate_tasks(lm, names["all"], manager)
            greedy, likelihood = (samples[name] for name in names["all"])
            result = {
                "seconds": dict(seconds),
                "texts": [row["resps"][0][0] for row in greedy],
                "correct": [bool(row["exact_match"]) for row in greedy],
                "nll": [-float(row["filtered_resps"][0][0]) for row in likelihood],
            }
            write_answer(result)


def write_answer(result: dict[str, Any]) -> None:
    """Print the result as one line for the process that started this one."""
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")
    sys.stdout.flush()


def record_seconds(lm: Any, method: str, seconds: dict[str, float]) -> None:
    """Note how long every call of a method takes."""
    inner = getattr(lm, method)

    def outer(*arguments: Any, **more: Any) -> Any:
        start = time.perf_counter()
        result = inner(*arguments, **more)
        seconds[method] = time.perf_counter() - start
        return result

    setattr(lm, method, outer)


def evaluate_tasks(lm: Any, tasks: list[str], manager: Any) -> dict[str, list[dict[str, Any]]]:
    """The samples of each task, in the order of the rows."""
    result: Any = simple_evaluate(lm, tasks=tasks, task_manager=manager, bootstrap_iters=0, log_samples=True)
    return {name: sorted(rows, key=lambda row: row["doc_id"]) for name, rows in result["samples"].items()}


if __name__ == "__main__":
    main()
