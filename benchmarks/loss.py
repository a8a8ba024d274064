"""Time and peak memory of one training step, by loss and implementation, side by side in one run.

Arms: `naive` (the model's own forward call with labels: full logits), `trl` (the fused head that TRL's SFTTrainer puts
on the model, called as its compute_loss does), `liger` (its fused linear cross-entropy, where it is installed and CUDA
is there), and overmem's driver with `nll` and `mar`. The model is a one-layer Llama with a tied output layer, so that
the output layer is nearly all of the step. Time: arms take turns in one process, in an order that rotates, and each is
compared with `nll` of the same turn. Memory: a fresh process per arm.

    python benchmarks/loss.py --out docs/results/loss_speed.json
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
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.utils import add_fused_lm_head

from overmem.losses import LOSSES
from overmem.losses.driver import model_loss
from overmem.seeds import seed_of

Batch = dict[str, Tensor]
ARMS = ("nll", "mar", "naive", "trl")


def model_of(vocab: int, width: int, device: str) -> LlamaForCausalLM:
    """A one-layer Llama with a tied output layer, its weights drawn by a seed."""
    heads = max(1, width // 64)
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=1,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        tie_word_embeddings=True,
        use_cache=False,
    )
    with torch.device(device):
        model = LlamaForCausalLM(config)
    return model.to(torch.bfloat16) if device == "cuda" else model


def batch_of(vocab: int, tokens: int, trained: float, device: str) -> Batch:
    """Rows of up to 512 tokens; the first part of each row is a prompt whose labels are ignored."""
    row_length = min(tokens, 512)
    draw = torch.Generator().manual_seed(seed_of("benchmark", vocab, tokens))
    ids = torch.randint(vocab, (tokens // row_length, row_length), generator=draw)
    labels = ids.clone()
    labels[:, : round((1 - trained) * row_length)] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return {key: value.to(device) for key, value in batch.items()}


def trl_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The nll branch of SFTTrainer.compute_loss."""
    outputs = model(**batch, use_cache=False, fused_lm_head=True)
    return -outputs.log_probs.sum() / outputs.label_mask.sum().clamp(min=1)


def liger_loss(model: Any, batch: Batch) -> Tensor:
    """Liger's fused linear cross-entropy on the positions that are trained on."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    inputs = {key: value for key, value in batch.items() if key != "labels"}
    states = model.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
    loss: Tensor = LigerFusedLinearCrossEntropyLoss()(model.lm_head.weight, states, batch["labels"][:, 1:].flatten())
    return loss


def loss_function(arm: str, model: LlamaForCausalLM) -> Callable[[Batch], Tensor]:
    """The function that computes the loss of a batch in this arm."""
    if arm in LOSSES:
        return lambda batch: model_loss(model, batch, LOSSES[arm])[0]
    if arm == "trl":
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
        return lambda batch: trl_loss(model, batch)
    if arm == "liger":
        return lambda batch: liger_loss(model, batch)
    return lambda batch: model(**batch).loss


def step(loss_of: Callable[[Batch], Tensor], model: nn.Module, batch: Batch) -> float:
    """One forward and backward pass; the gradients are discarded."""
    loss = loss_of(batch)
    loss.backward()
    value = loss.item()
    model.zero_grad(set_to_none=True)
    return value


def step_times(arms: list[str], vocab: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of every step: wall clock and, on a CPU, the processor time of this process."""
    batch = batch_of(vocab, options.tokens, options.trained, options.device)
    models = {arm: model_of(vocab, options.width, options.device) for arm in arms}
    for arm in arms:
        models[arm].load_state_dict(models[arms[0]].state_dict())
    losses = {arm: loss_function(arm, models[arm]) for arm in arms}
    rows = []
    for turn in range(-1, options.repeats):  # turn -1 warms up
        for position in range(len(arms)):
            arm = arms[(position + turn) % len(arms)]
            gc.collect()
            if options.device == "cuda":
                torch.cuda.synchronize()
            wall, cpu = time.perf_counter(), time.process_time()
            value = step(losses[arm], models[arm], batch)
            if options.device == "cuda":
                torch.cuda.synchronize()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if turn >= 0:
                rows.append({"vocab": vocab, "arm": arm, "turn": turn, "wall": wall, "cpu": cpu, "loss": value})
    return rows


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_of_one_step(arm: str, vocab: int, tokens: int, options: argparse.Namespace) -> int:
    """Bytes at the peak of one step above what model and batch occupy; run it in a process that did nothing else."""
    small = model_of(64, 64, options.device)
    step(loss_function(arm, small), small, batch_of(64, 8, 1.0, options.device))  # loads what the first step loads
    model, batch = (
        model_of(vocab, options.width, options.device),
        batch_of(vocab, tokens, options.trained, options.device),
    )
    loss_of = loss_function(arm, model)
    gc.collect()
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss_of, model, batch)
        return int(torch.cuda.max_memory_allocated() - before)
    before = resident()
    step(loss_of, model, batch)
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)


def summary(values: list[float]) -> dict[str, float]:
    """Median, quartiles and extremes."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "q1": low, "q3": high, "min": min(values), "max": max(values), "n": len(values)}


def main(argv: list[str]) -> None:
    """Measure and write one JSON file; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocab", type=int, nargs="+", default=[49152, 128256])
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--memory-tokens", type=int, nargs="*", default=[512, 2048])
    parser.add_argument("--trained", type=float, default=1.0, help="share of each row whose labels are trained on")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    parser.add_argument("--out", type=Path, default=Path("loss_speed.json"))
    parser.add_argument("--no-time", action="store_true", help="measure memory only")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    about = {
        "command": f"python benchmarks/loss.py {' '.join(argv)}",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "trl": trl.__version__,
        **{key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()},
    }
    times: dict[str, Any] = {}
    ratios: dict[str, Any] = {}
    memory: list[dict[str, Any]] = []

    def save() -> None:
        result = {"about": about, "seconds": times, "ratio": ratios, "memory": memory}
        options.out.write_text(json.dumps(result, indent=1))

    for vocab in () if options.no_time else options.vocab:
        rows = step_times(options.arms, vocab, options)
        for arm in options.arms:
            of_arm = [row for row in rows if row["arm"] == arm]
            base = {row["turn"]: row for row in rows if row["arm"] == "nll"}
            for clock in ("wall", "cpu"):
                key = f"{vocab} {arm} {clock}"
                times[key] = summary([row[clock] for row in of_arm])
                ratios[key] = summary([row[clock] / base[row["turn"]][clock] for row in of_arm])
                sys.stderr.write(f"{key}: {times[key]['median']:.3f} s, x{ratios[key]['median']:.3f} of nll\n")
        save()
    for vocab in options.vocab:
        for tokens in options.memory_tokens:
            for arm in options.arms:
                with multiprocessing.get_context("spawn").Pool(1) as new_process:  # a fork would hang on threads
                    peak = new_process.apply(peak_of_one_step, (arm, vocab, tokens, options))
                memory.append({"vocab": vocab, "tokens": tokens, "arm": arm, "bytes": peak})
                sys.stderr.write(f"{memory[-1]}\n")
                save()


if __name__ == "__main__":
    main(sys.argv[1:])
