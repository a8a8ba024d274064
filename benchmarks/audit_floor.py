"""The floor of `benchmarks/audit.py`: the machine's peak speed, how far the work is from it, and what columns cost."""

import statistics
import time
from pathlib import Path
from typing import Any

import torch
from audit_job import BUDGET, Job, examples_of, load_model, split_of, spread

from overmem import store
from overmem.observe import score
from overmem.observe.completions import complete
from overmem.observe.engines.decoding import EngineSettings
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.score import scores


def machine(threads: int) -> dict[str, float]:
    """What the machine multiplies and reads per second at best: GFLOP/s (float32) and GB/s."""
    torch.set_num_threads(threads)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    read = torch.randn(64 * 2**20)
    best = {"gflops": 0.0, "gbytes": 0.0}
    for _ in range(5):
        start = time.perf_counter()
        torch.mm(a, b)
        best["gflops"] = max(best["gflops"], 2 * 2048**3 / (time.perf_counter() - start) / 1e9)
        start = time.perf_counter()
        read.sum()
        best["gbytes"] = max(best["gbytes"], read.numel() * 4 / (time.perf_counter() - start) / 1e9)
    return best


def floors(job: Job, results: dict[str, Any], speed: dict[str, float]) -> dict[str, float]:
    """Seconds that the arithmetic and the reading of weights alone would take, and the times over it.

    A token costs two operations per weight of the layers, and a predicted token two more per weight of the output
    layer. A prompt is read once, for scoring and completing. A step reads every weight once. Attention over keys and
    values is not counted: the real floor is a little higher.
    """
    model, _ = load_model(job)
    vocabulary, width = model.get_output_embeddings().weight.shape
    head = vocabulary * width
    layers = sum(p.numel() for n, p in model.named_parameters() if "embed_tokens" not in n and "lm_head" not in n)
    counts = results["counts"]
    rate, read = speed["gflops"] * 1e9, speed["gbytes"] * 1e9
    size = next(model.parameters()).element_size()
    reading = 2 * (counts["read_tokens"] * layers + (counts["solution_tokens"] + results["examples"]) * head) / rate
    rows = counts["step_rows"] / max(1, counts["steps"])
    step = max(2 * rows * (layers + head) / rate, (layers + head) * size / read)
    completing = counts["steps"] * step
    observe_seconds = statistics.median(t["overmem"]["observe"] for t in results["seconds"])
    return {
        "seconds": observe_seconds,
        "reading_floor": reading,
        "completing_floor": completing,
        "times": observe_seconds / (reading + completing),
        "rows_a_step": rows,
        "steps": counts["steps"],
    }


def recording(job: Job, folder: Path, repeats: int) -> dict[str, Any]:
    """Seconds of scoring with all columns and with the label's logprob alone, and the bytes that are written."""
    torch.set_num_threads(job["threads"])
    model, tokenizer = load_model(job)
    split, decoding = split_of(job, tokenizer, examples_of(job))
    all_statistics = score._statistics

    def label_alone(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        logprob = logits.gather(1, labels[:, None])[:, 0] - logits.logsumexp(-1)
        return logprob.expand(4, -1), torch.zeros_like(labels, dtype=torch.bool), logprob.expand(10, -1)

    seconds: dict[str, list[float]] = {"all": [], "label": []}
    for repeat in range(repeats + 1):
        for name, statistics_function in (("all", all_statistics), ("label", label_alone)):
            score._statistics = statistics_function  # type: ignore[assignment]
            start = time.perf_counter()
            observed = scores(model, split.encoded, token_budget=BUDGET)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
            if name == "all":
                all_scores = observed
    score._statistics = all_statistics
    run = store.open_run(folder)
    store.write_scores(run, "checkpoint-1", "test", all_scores, weights="", request="")
    drawn = complete(HuggingFace(EngineSettings(token_budget=BUDGET), model), model, tokenizer, split, decoding)
    store.write_samples(run, "checkpoint-1", "test", drawn, weights="", request="")
    bytes_of = {k: run.unit_path("checkpoint-1", "test", k).stat().st_size for k in ("scores", "samples")}
    return {
        "all_seconds": spread(seconds["all"]),
        "label_seconds": spread(seconds["label"]),
        "ratio": spread([a / b for a, b in zip(seconds["all"], seconds["label"], strict=True)]),
        "scores_bytes_a_solution_token": bytes_of["scores"] / split.solution_tokens,
        "samples_bytes_a_completion": bytes_of["samples"] / len(drawn.text),
    }
