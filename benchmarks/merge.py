"""A linear merge of two checkpoints: `overmem merge`, `cp` of one of them, and mergekit if it is installed.

    python -m benchmarks.merge --cold --repeats 5 --out docs/results/merge_speed.json

Makes two checkpoints of random weights, full or LoRA, and times the tools one after the other in one run, round by
round, each in a process of its own, until what it wrote is on the disk. A merge reads two checkpoints and writes one,
`cp` reads one and writes one: bandwidth is bytes read and written per second. `overmem merge` is also timed on tiny
checkpoints: what that takes is the start of the program, and bandwidth is given with and without it. The peak memory is
the process's largest resident set, pages of mapped files included. With --cold, the checkpoints are removed from the
file cache before each. mergekit is a program of its own: `--mergekit PATH` names its `mergekit-yaml`.
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
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

WIDTH = 2048
LORA_RANK = 64
Process = get_context("spawn").Process


@dataclass(frozen=True)
class Timed:
    """One tool, once."""

    tool: str
    kind: str
    seconds: float
    peak_mib: float
    """Largest resident memory of the process, file pages that are mapped included."""
    moved_bytes: int
    """Read and written."""


def make_full(folder: Path, layers: int, seed: int) -> None:
    """A Llama checkpoint of random bfloat16 weights."""
    import torch
    from safetensors.torch import save_file

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
    import torch
    from safetensors.torch import save_file

    generator, tensors = torch.Generator().manual_seed(seed), dict[str, Any]()
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


def evict(folder: Path) -> None:
    """Remove the files of a folder from the file cache."""
    os.sync()
    for path in folder.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(tool: str, kind: str, command: Sequence[str], result: Path, sources: int) -> Timed:
    """Run a command that writes `result`, and flush what it wrote to the disk.

    Args:
        tool: its name.
        kind: `full`, `lora` or `tiny`.
        command: what to run.
        result: the folder that it makes, which is removed afterwards.
        sources: how many checkpoints of the size of the result it reads.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{tool} failed: {process.stderr.read().decode()[-2000:] if process.stderr else ''}")
    os.sync()
    seconds = time.perf_counter() - start
    written = sum(p.stat().st_size for p in result.rglob("*") if p.is_file())
    shutil.rmtree(result)
    return Timed(tool, kind, seconds, usage.ru_maxrss / 1024, (1 + sources) * written)


def rounds(home: Path, kind: str, repeats: int, mergekit: str | None, *, cold: bool) -> list[Timed]:
    """Every tool, `repeats` times, in turn.

    Args:
        home: folder of the two checkpoints, in `run`.
        kind: `full`, `lora` or `tiny`.
        repeats: rounds.
        mergekit: path of `mergekit-yaml`; None to leave it out. It merges no adapters.
        cold: whether the checkpoints are removed from the file cache before each.
    """
    run, pair = home / "run", ("checkpoint-1", "checkpoint-2")
    merge = [sys.executable, "-m", "overmem", "merge", str(run), "--checkpoints", *pair, "--name", "merged-1"]
    tools = {"overmem merge": (merge, run / "merged-1", 2)}
    if kind != "tiny":
        tools["cp"] = (["cp", "-r", str(run / pair[1]), str(home / "copy")], home / "copy", 1)
    if mergekit is not None and kind == "full":
        recipe = {
            "merge_method": "linear",
            "dtype": "bfloat16",
            "models": [{"model": str(run / name), "parameters": {"weight": 0.5}} for name in pair],
        }
        (home / "recipe.yaml").write_text(json.dumps(recipe))
        tools["mergekit"] = ([mergekit, str(home / "recipe.yaml"), str(home / "kit")], home / "kit", 2)
    results = []
    for _ in range(repeats):
        for tool, (command, result, sources) in tools.items():
            shutil.rmtree(result, ignore_errors=True)
            evict(run) if cold else os.sync()
            results.append(timed(tool, kind, command, result, sources))
    return results


def table(results: Sequence[Timed]) -> str:
    """A line per tool: medians."""
    start = median(one.seconds for one in results if one.kind == "tiny")
    lines = [f"the start of overmem merge takes {start:.2f} s"]
    for kind, tool in dict.fromkeys((one.kind, one.tool) for one in results if one.kind != "tiny"):
        own = [one for one in results if (one.kind, one.tool) == (kind, tool)]
        seconds, moved = median(one.seconds for one in own), own[0].moved_bytes / 1e6
        line = f"{kind:5} {tool:14} n = {len(own)} {seconds:7.2f} s ({min(o.seconds for o in own):.2f} to "
        line += f"{max(o.seconds for o in own):.2f}) {moved / seconds:6.0f} MB/s"
        line += f", peak {max(one.peak_mib for one in own):6.0f} MiB"
        lines.append(line + (f"; {moved / (seconds - start):.0f} MB/s after its start" if "overmem" in tool else ""))
    return "\n".join(lines)


def make(home: Path, kind: str, layers: int) -> None:
    """The two checkpoints."""
    for seed in (1, 2):
        target = home / "run" / f"checkpoint-{seed}"
        make_full(target, layers, seed) if kind == "full" else make_lora(target, layers, seed, home)


def main() -> None:
    """Time every tool and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of a full checkpoint")
    parser.add_argument("--kinds", nargs="+", choices=("full", "lora"), default=["full", "lora"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mergekit", default=shutil.which("mergekit-yaml"), help="path of mergekit-yaml")
    parser.add_argument("--cold", action="store_true", help="remove the checkpoints from the file cache before each")
    parser.add_argument("--work", type=Path, default=None, help="folder with room for four checkpoints")
    parser.add_argument("--out", type=Path, default=None, help="JSON file for the single times")
    options = parser.parse_args()
    layer_bytes = 2 * (4 * WIDTH * WIDTH + 3 * 4 * WIDTH * WIDTH)
    layers = max(1, round((options.gigabytes * 1e9 - 4 * 32000 * WIDTH) / layer_bytes))
    results: list[Timed] = []
    for kind in ("tiny", *options.kinds):
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            made = Process(target=make, args=(Path(folder), kind, 1 if kind == "tiny" else layers))
            made.start()  # a process of its own, because a child's peak memory begins with its parent's
            made.join()
            results += rounds(Path(folder), kind, options.repeats, options.mergekit, cold=options.cold)
    print(table(results))  # noqa: T201
    if options.out is not None:
        options.out.write_text(json.dumps([asdict(one) for one in results], indent=2))


if __name__ == "__main__":
    main()
