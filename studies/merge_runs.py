"""The runs that searches are compared on, and the choices that are compared: docs/results/merge_search.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CELLS: Mapping[str, Mapping[str, Any]] = {
    "full, 1e-3": {"method": "full", "learning_rate": 1e-3},
    "full, 3e-3": {"method": "full", "learning_rate": 3e-3},
    "LoRA, 3e-3": {"method": "lora", "learning_rate": 3e-3},
    "LoRA, 1e-2": {"method": "lora", "learning_rate": 1e-2},
}
"""Methods and rates, one below and one above the demo's and the example sweep's."""
SEEDS = tuple(range(101, 109))
"""Of problems, data order and adapters; no other study or test uses them."""
FRESH = "fresh"
"""The questions on which the choices are compared."""
CHOICES = ("last", "best single", "the paper's pair", "uniform soup", "the search's pick", "search, confirmed")
"""The last one is the pick if test shows it to be better, and else the best single checkpoint."""


@dataclass(frozen=True)
class Size:
    """The size of a run."""

    train: int = 96
    epochs: float = 12.0
    batch_size: int = 16
    checkpoints: int = 6
    val: int = 150
    test: int = 150
    fresh: int = 300
