"""A linear merge of two checkpoints: `overmem merge`, `cp` of the same bytes, and mergekit if it is installed.

    python -m benchmarks.merge --gigabytes 2 --out merge.json

Makes two checkpoints of random weights, full or LoRA, and times the tools one after the other in one run, round by
round, each in a process of its own. The peak memory is the process's largest resident set; with --cold, the file cache
is dropped before each (needs root). mergekit is a program of its own: `--mergekit PATH` names its `mergekit-yaml`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH = 2048
LORA_RANK = 64
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True)
class Timed:
    """One tool, once."""

    tool: str
    kind: str
    seconds: float
    peak_mib: float
    """Largest resident memory of the process, file pages that are mapped included."""
    written_bytes: int


def make_full(folder: Path, layers: int, seed: int) -> None:
    """A Llama checkpoint of random bfloat16 weights."""
    width, generator = WIDTH, torch.Generator().manual_seed(seed)
    shapes = {
        "model.embed_tokens.weight": (32000, width),
        "model.norm.weight": (width,),
        "lm_head.weight": (32000, width),
    }
    for i in range(layers):
        block = f"model.layers.{i}"
        shapes |= {f"{block}.self_attn.{p}_proj.weight": (width, width) for p in "qkvo"}
        shapes |= {f"{block}.mlp.{p}_proj.weight": (4 * width, width) for p in ("gate", "up")}
        shapes |= {f"{block}.mlp.down_proj.weight": (width, 4 * width)}
        shapes |= {f"{block}.{n}.weight": (width,) for n in ("input_layernorm", "post_attention_layernorm")}
    tensors = {name: (torch.randn(shape, generator=generator) * 0.02).bfloat16() for name, shape in shapes.items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "vocab_size": 32000,
        "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": 16,
        "num_key_value_heads": 16, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def make_lora(folder: Path, layers: int, seed: int, base: Path) -> None:
    """A LoRA adapter of random weights on every linear layer."""
    generator, tensors = torch.Generator().manual_seed(seed), dict[str, torch.Tensor]()
    for i in range(layers):
        for module, inputs, outputs in (
            *((f"self_attn.{p}_proj", WIDTH, WIDTH) for p in "qkvo"),
            *((f"mlp.{p}_proj", WIDTH, 4 * WIDTH) for p in ("gate", "up")),
            ("mlp.down_proj", 4 * WIDTH, WIDTH),
        ):
            name = f"base_model.model.model.layers.{i}.{module}"
            tensors[f"{name}.lora_A.weight"] = torch.randn(LORA_RANK, inputs, generator=generator)
            tensors[f"{name}.lora_B.weight"] = torch.randn(outputs, LORA_RANK, generator=generator)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = {
        "peft_type": "LORA", "r": LORA_RANK, "lora_alpha": LORA_RANK, "base_model_name_or_path": str(base),
        "target_modules": modules, "task_type": "CAUSAL_LM", "lora_dropout": 0.0, "bias": "none",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))


def timed(tool: str, kind: str, command: Sequence[str], result: Path, *, cold: bool) -> Timed:
    """Run a command that writes `result`, and flush what it wrote to the disk.

    Args:
        tool: its name.
        kind: `full` or `lora`.
        command: what to run.
        result: the folder that it makes, which is removed afterwards.
        cold: whether to drop the file cache first.
    """
    shutil.rmtree(result, ignore_errors=True)
    os.sync()
    if cold:
        DROP_CACHES.write_text("3")
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{tool} failed: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    os.sync()
    seconds = time.perf_counter() - start
    written = sum(p.stat().st_size for p in result.rglob("*") if p.is_file())
    shutil.rmtree(result)
    return Timed(tool, kind, seconds, usage.ru_maxrss / 1024, written)


def rounds(home: Path, kind: str, repeats: int, mergekit: str | None, *, cold: bool) -> list[Timed]:
    """Every tool, `repeats` times, in turn.

    Args:
        home: folder of the two checkpoints, in `run`.
        kind: `full` or `lora`.
        repeats: rounds.
        mergekit: path of `mergekit-yaml`; None to leave it out. It merges no adapters.
        cold: whether to drop the file cache before each.
    """
    run, pair = home / "run", ("checkpoint-1", "checkpoint-2")
    tools = {
        "overmem merge": (
            [sys.executable, "-m", "overmem", "merge", str(run), "--checkpoints", *pair, "--name", "merged-1"],
            run / "merged-1",
        ),
        "cp": (["cp", "-r", str(run / pair[1]), str(home / "copy")], home / "copy"),
    }
    if mergekit is not None and kind == "full":
        recipe = {
            "merge_method": "linear",
            "dtype": "bfloat16",
            "models": [{"model": str(run / name), "parameters": {"weight": 0.5}} for name in pair],
        }
        (home / "recipe.yaml").write_text(json.dumps(recipe))
        tools["mergekit"] = ([mergekit, str(home / "recipe.yaml"), str(home / "kit")], home / "kit")
    return [
        timed(tool, kind, command, result, cold=cold)
        for _ in range(repeats)
        for tool, (command, result) in tools.items()
    ]


def main() -> None:
    """Time every tool and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of a full checkpoint")
    parser.add_argument("--kinds", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mergekit", default=shutil.which("mergekit-yaml"), help="path of mergekit-yaml")
    parser.add_argument("--cold", action="store_true", help="drop the file cache before each; needs root")
    parser.add_argument("--work", type=Path, default=None, help="folder with room for four checkpoints")
    parser.add_argument("--out", type=Path, default=None, help="JSON file for the single times")
    options = parser.parse_args()
    layer_bytes = 2 * (4 * WIDTH * WIDTH + 3 * 4 * WIDTH * WIDTH)
    layers = max(1, round((options.gigabytes * 1e9 - 4 * 32000 * WIDTH) / layer_bytes))
    results: list[Timed] = []
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            home = Path(folder)
            for seed in (1, 2):
                target = home / "run" / f"checkpoint-{seed}"
                make_full(target, layers, seed) if kind == "full" else make_lora(target, layers, seed, home)
            results += rounds(home, kind, options.repeats, options.mergekit, cold=options.cold)
    for one in results:
        rate = one.written_bytes / one.seconds / 1e6
        print(  # noqa: T201
            f"{one.kind:5} {one.tool:14} {one.seconds:7.2f} s {rate:7.0f} MB/s written, peak {one.peak_mib:6.0f} MiB"
        )
    if options.out is not None:
        options.out.write_text(json.dumps([asdict(one) for one in results], indent=2))


if __name__ == "__main__":
    main()
