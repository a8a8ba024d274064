"""How long vLLM takes to change from one checkpoint to the next: weights reloaded in place, against a new instance.

Both sides run in one process, in turns. A change ends with the first greedy completions of the new checkpoint;
reloading includes the comparison with the model that scores. The completions of both sides have to be equal.
With `--untie` the output layer gets weights of its own: vLLM 0.32 does not reload one that is tied to the embeddings.

    python benchmarks/vllm_reload.py --untie --model MODEL --repeats 5 --out docs/results/vllm_reload.json
"""

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from figures import write_figures
from transformers import AutoModelForCausalLM

from overmem.models.discovery import CheckpointRef
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks, PromptBatch
from overmem.observe.engines.vllm import VLLM
from overmem.records import Checkpoint

TOKENS = 32
"""Tokens of a completion."""


def checkpoints(model: str, folder: Path, *, untie: bool) -> list[CheckpointRef]:
    """The model, and a copy of it with slightly other weights."""
    refs = []
    for step in (1, 2):
        path = folder / f"checkpoint-{step}"
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        if untie:
            loaded.config.tie_word_embeddings = False
            loaded.lm_head.weight = torch.nn.Parameter(loaded.lm_head.weight.detach().clone())
        if step == 2:
            with torch.no_grad():
                for weight in loaded.parameters():
                    weight.mul_(1.01)
        loaded.save_pretrained(path)
        refs.append(CheckpointRef(Checkpoint(path.name, step), str(path)))
    return refs


def changed(engine: VLLM, checkpoint: CheckpointRef, model: Any) -> tuple[float, list[Any]]:
    """Seconds until a checkpoint has completed four prompts, and the completions."""
    prompts = [[10, 20, 30, 40 + i] for i in range(4)]
    start = time.perf_counter()
    engine.open(checkpoint, model)
    batch = PromptBatch(prompts, list("abcd"), Decoding(max_new_tokens=TOKENS), (0,))
    completions = list(engine.complete(batch, Hooks()))
    return time.perf_counter() - start, [c.token_ids for c in completions]


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder or hub id of a model with full weights")
    parser.add_argument("--untie", action="store_true", help="give the output layer weights of its own")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    times: dict[str, list[float]] = {"reloaded": [], "new": []}
    try:
        refs = checkpoints(options.model, folder, untie=options.untie)
        models: list[Any] = [AutoModelForCausalLM.from_pretrained(ref.path, dtype=torch.float32) for ref in refs]
        size = sum(p.numel() for p in models[0].parameters())
        settings = EngineSettings(None, torch.float32, 256)
        kept = VLLM(settings)
        changed(kept, refs[1], models[1])
        first = kept._llm
        for repeat in range(options.repeats):
            which = repeat % 2
            seconds, reloaded = changed(kept, refs[which], models[which])
            times["reloaded"].append(round(seconds, 3))
            if kept._llm is not first:
                raise SystemExit("the weights were not reloaded: a new instance was started")
            other = VLLM(settings)
            seconds, fresh = changed(other, refs[which], models[which])
            other.close()
            times["new"].append(round(seconds, 3))
            if reloaded != fresh:
                raise SystemExit("the reloaded instance and the new one complete differently")
            sys.stderr.write(f"{times}\n")
        kept.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "gpu": torch.cuda.is_available()}
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {"machine": machine, "parameters": size, "seconds": times, "median": median}
    write_figures(result, options.out)


if __name__ == "__main__":
    main()
