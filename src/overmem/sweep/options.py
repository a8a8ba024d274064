"""A sweep file: one recipe, the factors that vary, the seeds, and the audit of every run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from overmem.training.recipe import validate
from overmem.yaml_files import read_yaml

Levels: TypeAlias = list[Any] | dict[str, dict[str, Any]]
"""The levels of one factor: values of a recipe key, or level names with the keys that they set."""


@dataclass(frozen=True)
class Sweep:
    """Every combination of the levels of `vary`, with every seed, is trained, audited and judged."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    output: str
    """Folder of the sweep, with the runs in `runs/`, `sweep.parquet`, `sweep.html` and `tables/`."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The keys of a recipe that all runs share; `output` and `seed` are set by the sweep."""
    vary: Mapping[str, Levels] = field(default_factory=dict)
    """Factor -> its levels, of which the first is the reference. A list has values of the recipe key that the factor is
    named after (`learning_rate`, `data.train`, `trainer.weight_decay`); a mapping has level names, each with the recipe
    keys that it sets (`{mar: {loss: mar}, plain: {}}`)."""
    seeds: int | list[int] = 3
    """The number of seeds, or a list of them: for the data order, adapters and dropout, and for the verdict."""
    vary_data: bool = False
    """Whether the seed also determines the problems and their splits; otherwise all runs share them."""
    audit: Mapping[str, Any] = field(default_factory=dict)
    """Options of `overmem audit` for every run: rows, side_rows, draws, shifts, attacks, checkpoints, ..."""
    keep: Literal["all", "recommended", "none"] = "all"
    """Weights that are kept after a run is judged: all, those of the checkpoint to ship and of the last one, or none.
    Observations are always kept."""


def read_sweep(path: Path | str) -> Sweep:
    """The sweep in a YAML file.

    Raises:
        BadRequest: no such file, not YAML, or unknown keys or values.
    """
    return validate(Sweep, read_yaml(Path(path)), str(path))
