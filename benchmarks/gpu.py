"""Everything that only a GPU can show, in under ten minutes: one script, a step after the other, each with its limit.

    python benchmarks/gpu.py --model SMOLLM2_FOLDER --out gpu.json      # on a machine with a GPU
    python benchmarks/gpu.py --smoke                                    # every step small on the CPU: does it run?

Steps: the device's numbers against the CPU's (scores, greedy completions, every loss and its gradient), a fine-tune and
its audits in bfloat16 and float32 by the command, the same audit with vLLM, two workers on one GPU, greedy accuracy
against lm-eval, losses against Liger and TRL, and the callback's memory bound. A step that needs a package which is not
installed is skipped and says so; one that fails or takes too long is noted, and the next one is run.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIMIT = 570.0
"""Seconds of all steps."""


@dataclass(frozen=True)
class Step:
    """One process."""

    name: str
    command: tuple[str, ...]
    seconds: float
    """Longest time."""
    needs: tuple[str, ...] = ()
    """Packages."""


def steps(options: argparse.Namespace, folder: Path) -> list[Step]:
    """The steps, those first whose result is most uncertain."""
    python, run, device = sys.executable, str(folder / "run"), options.device
    overmem = (python, "-m", "overmem")
    rows = "16" if options.smoke else "200"
    recipe = folder / "recipe.yaml"
    data = {"source": "wordproblems", "train": 32 if options.smoke else 400, "val": int(rows), "test": int(rows)}
    settings = {
        "output": run,
        "model": options.model,
        "data": data,
        "epochs": 1 if options.smoke else 4,
        "batch_size": 16,
    }
    recipe.write_text(json.dumps(settings | {"learning_rate": 2e-4, "observe_rows": 0}))
    audit = (*overmem, "audit", run, "--rows", rows, "--side-rows", rows, "--device", device, "--json", "-q")
    loss = ("--vocab", "1024", "--tokens", "64", "--repeats", "1", "--memory-tokens") if options.smoke else ()
    arms = ("nll", "mar", "naive", "trl", *(("liger",) if importlib.util.find_spec("liger_kernel") else ()))
    bound = ("--rows", "16", "--side-rows", "8", "--token-budgets", "2048") if options.smoke else ()
    losses, callback = ("--out", str(folder / "losses.json")), ("--out", str(folder / "callback.json"))
    all_steps = [
        Step("numbers", (python, __file__, "--check", "--device", device), 60),
        Step("train", (*overmem, "train", str(recipe)), 90),
        Step("audit in bfloat16", (*audit, "--dtype", "bfloat16", "--out", str(folder / "bf16")), 90),
        Step("audit in float32", (*audit, "--dtype", "float32", "--out", str(folder / "f32")), 90),
        Step(
            "audit with vllm",
            (*audit, "--dtype", "bfloat16", "--engine", "vllm", "--out", str(folder / "vllm")),
            150,
            ("vllm",),
        ),
        Step("two workers", (*audit, "--dtype", "bfloat16", "--workers", "2", "--out", str(folder / "two")), 120),
        Step(
            "losses",
            (python, str(HERE / "loss.py"), "--device", device, *loss, "--arms", *arms, *losses),
            90,
            ("trl",),
        ),
        Step(
            "callback",
            (python, str(HERE / "callback.py"), "--device", device, *bound, *callback),
            90,
        ),
    ]
    if options.lm_eval_python:
        lm_eval = (
            "--lm-eval-python",
            options.lm_eval_python,
            "--model",
            options.model,
            "--rows",
            rows,
            "--repeats",
            "2",
        )
        all_steps.append(
            Step("lm-eval", (python, str(HERE / "audit.py"), *lm_eval, "--out", str(folder / "e.json")), 120)
        )
    return all_steps


def run_step(step: Step, seconds_left: float) -> dict[str, Any]:
    """Run a step; returns its result, or why it has none."""
    if missing := [name for name in step.needs if importlib.util.find_spec(name) is None]:
        return {"step": step.name, "skipped": f"not installed: {', '.join(missing)}"}
    if seconds_left < 10:
        return {"step": step.name, "skipped": "no time is left"}
    start, limit = time.perf_counter(), min(step.seconds, seconds_left)
    try:
        process = subprocess.run(step.command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"step": step.name, "failed": f"took longer than {limit:.0f} s"}
    seconds = round(time.perf_counter() - start, 1)
    if process.returncode != 0:
        return {"step": step.name, "seconds": seconds, "failed": process.stderr.strip()[-1000:]}
    return {"step": step.name, "seconds": seconds, "result": summary(process.stdout)}


def summary(stdout: str) -> Any:
    """What a step printed as JSON; of an audit's measurements only accuracy and nll, which can be compared."""
    try:
        value = json.loads(stdout)
    except ValueError:
        return stdout.strip()[-500:]
    if isinstance(value, list) and value and isinstance(value[0], dict) and "metric" in value[0]:
        comparable = [row for row in value if row["metric"] in ("accuracy", "nll") and row["split"] in ("val", "test")]
        return {f"{row['checkpoint']} {row['split']} {row['metric']}": row["value"] for row in comparable}
    return value


def numbers(device: str) -> dict[str, Any]:
    """How far the device's numbers are from the CPU's, on the embedded model in float32."""
    import torch
    from audit_job import BUDGET, Job, examples_of, split_of
    from transformers import AutoModelForCausalLM

    from overmem.losses import LOSSES
    from overmem.losses.driver import model_loss
    from overmem.losses.gate import trait
    from overmem.models.discovery import base_path, load_tokenizer
    from overmem.observe.engines.decoding import EngineSettings, PromptBatch
    from overmem.observe.engines.hf import HuggingFace
    from overmem.observe.score import scores

    tokenizer = load_tokenizer("pebble")
    job: Job = {"data": "wordproblems", "rows_count": 24, "max_new_tokens": 48}
    split, decoding = split_of(job, tokenizer, examples_of(job))
    models = {
        name: AutoModelForCausalLM.from_pretrained(base_path("pebble"), dtype=torch.float32).to(place).eval()
        for name, place in (("cpu", "cpu"), ("device", device))
    }
    scored = {place: scores(model, split.encoded, token_budget=BUDGET) for place, model in models.items()}
    names = [e.example_id for e in split.encoded]
    batch = PromptBatch([e.prompt_ids for e in split.encoded], names, decoding, (tokenizer.eos_token_id,))
    texts = {
        place: {c.prompt: c.token_ids for c in HuggingFace(EngineSettings(), model).complete(batch)}
        for place, model in models.items()
    }
    ids = torch.tensor([(e.input_ids + (0,) * 64)[:64] for e in split.encoded[:4]])
    difference: dict[str, float] = {}
    for name, loss in LOSSES.items():
        gradients = []
        for model in models.values():
            place = model.device
            inputs = {"input_ids": ids.to(place), "attention_mask": torch.ones_like(ids, device=place)}
            inputs["labels"] = inputs["input_ids"]
            if trait(loss, "needs_reference"):
                inputs["reference_logprob"] = torch.full(ids.shape, -1.0, device=place)
            model.zero_grad()
            model_loss(model, inputs, loss)[0].backward()
            gradients.append(model.model.embed_tokens.weight.grad.float().cpu())
        difference[name] = float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max().clamp(min=1e-9))
    equal = [texts["cpu"][prompt] == texts["device"][prompt] for prompt in texts["cpu"]]
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "torch": torch.__version__,
        "largest difference of a logprob": float(abs(scored["cpu"].logprob - scored["device"].logprob).max()),
        "equal greedy completions": f"{sum(equal)} of {len(equal)}",
        "largest relative difference of a gradient": difference,
    }


def main() -> None:
    """Run the steps and write their results; exits with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="pebble", help="folder of SmolLM2-135M, or of any other model")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lm-eval-python", help="python of an environment with lm-eval[hf]")
    parser.add_argument("--smoke", action="store_true", help="every step small, on the CPU")
    parser.add_argument("--only", nargs="+", help="names of the steps to run")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = "cpu" if options.smoke else options.device
    if options.check:
        sys.stdout.write(json.dumps(numbers(options.device)) + "\n")
        return
    start, results = time.perf_counter(), []
    limit = 7200.0 if options.smoke else LIMIT
    with tempfile.TemporaryDirectory() as folder:
        for step in steps(options, Path(folder)):
            if options.only and step.name not in options.only:
                continue
            allowed = replace(step, seconds=20 * step.seconds) if options.smoke else step  # a CPU that others use
            results.append(run_step(allowed, limit - (time.perf_counter() - start)))
            sys.stderr.write(json.dumps(results[-1])[:300] + "\n")
            if options.out is not None:
                options.out.write_text(
                    json.dumps(results, indent=2) + "\n"
                )  # after each: the machine may be taken away
    sys.stdout.write(json.dumps(results, indent=2) + "\n")
    sys.exit(any("failed" in result for result in results))


if __name__ == "__main__":
    main()
