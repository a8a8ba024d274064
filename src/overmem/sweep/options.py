"""A sweep file: one recipe, what varies, the seeds, and how every run is audited. Unknown keys are refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from overmem.training.recipe import read_yaml, validated

Levels: TypeAlias = list[Any] | dict[str, dict[str, Any]]
"""The levels of one factor: values of a recipe key, or names of changes to several keys."""


@dataclass(frozen=True)
class Sweep:
    """Every combination of the levels of `vary`, with every seed, is trained, audited and judged."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    output: str
    """Folder of the sweep: the runs lie in `runs/`, then `sweep.parquet`, `sweep.html` and `tables/`."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The keys of a recipe that all runs share; `output` and `seed` are the sweep's own."""
    vary: Mapping[str, Levels] = field(default_factory=dict)
    """Factor -> its levels, the first being the reference. A list holds values of the recipe key that the factor is
    named after (`learning_rate`, `data.train`, `trainer.weight_decay`); a mapping holds names of levels, each with the
    keys that it sets (`{mar: {loss: mar}, plain: {}}`)."""
    seeds: int | list[int] = 3
    """How many seeds, or which: of the data order, adapters and dropout, and of the verdict."""
    vary_data: bool = False
    """Whether the seed also draws the problems and their split; else all runs share them."""
    audit: Mapping[str, Any] = field(default_factory=dict)
    """Options of `overmem audit` for every run: rows, side_rows, draws, shifts, attacks, checkpoints, ..."""
    keep: Literal["all", "recommended", "none"] = "all"
    """Weights that stay once a run is judged: all, only those of the checkpoint to ship and of the last one, or none.
    Observations always stay."""


def read_sweep(path: Path | str) -> Sweep:
    """The sweep in a YAML file.

    Raises:
        BadRequest: no such file, not YAML, or keys and values that a sweep does not have.
    """
    return validated(Sweep, read_yaml(Path(path)), str(path))
