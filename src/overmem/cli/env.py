"""`overmem env`: versions and devices, for a bug report. Nothing about runs, data or paths."""

import importlib.metadata
import os
import platform
from dataclasses import dataclass

import psutil

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import print_json

LIBRARIES = (
    "overmem", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "safetensors", "datasets", "vllm",
    "ray", "polars", "numpy", "scipy", "math-verify", "pydantic-monty", "sandlock", "bitsandbytes",
)  # fmt: skip
"""Libraries whose versions matter for what overmem measures."""


@dataclass(frozen=True)
class Env:
    """Print the versions and devices that a bug report needs."""

    json: bool = False
    """Print them as JSON."""


COMMAND = Env
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Print the versions and devices."""
    config = parse_options(Env, arguments, "env")
    versions = environment()
    if config.json:
        print_json(versions)
    else:
        width = max(map(len, versions))
        for name, value in versions.items():
            print(f"{name:{width}}  {value}")
    return 0


def environment() -> dict[str, str]:
    """Name -> version or device; `not installed` for a missing library."""
    versions = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
    }
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "not installed"
    return versions | _devices()


def _devices() -> dict[str, str]:
    """The accelerators that torch sees; empty if torch is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    if torch.cuda.is_available():
        return {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return {"accelerator": "mps" if torch.backends.mps.is_available() else "none"}
