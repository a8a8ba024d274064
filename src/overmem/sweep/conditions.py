"""The runs of a sweep: every combination of levels with every seed, each with a recipe and audit options."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import reduce
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

from overmem.audit.options import Audit
from overmem.errors import BadRequest, unknown
from overmem.store import to_jsonable
from overmem.sweep.options import Sweep, read_sweep
from overmem.training.recipe import Recipe, recipe_from, validate

Changes: TypeAlias = dict[str, Any]
"""Recipe key (dotted if nested) -> value."""

MOST_RUNS = 10_000
_RESERVED_RECIPE_KEYS = ("output", "seed")
_RESERVED_AUDIT_OPTIONS = ("run", "data", "base", "out")


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: a condition and a seed."""

    name: str
    """Name of its folder."""
    levels: Mapping[str, str]
    """Factor -> its level, as text."""
    seed: int
    recipe: Recipe
    audit: Audit

    @property
    def root(self) -> Path:
        """The run directory."""
        return Path(self.recipe.output)

    @property
    def condition(self) -> str:
        """The levels in one line, the same for all seeds."""
        return ", ".join(f"{factor} {level}" for factor, level in self.levels.items()) or "the recipe"


def read_planned(path: Path | str) -> tuple[Sweep, tuple[PlannedRun, ...]]:
    """A sweep file and its runs.

    Raises:
        BadRequest: as `read_sweep` and `planned_runs`.
    """
    sweep = read_sweep(path)
    return sweep, planned_runs(sweep, str(path))


def planned_runs(sweep: Sweep, where: str = "the sweep") -> tuple[PlannedRun, ...]:
    """Every run of the sweep, in order of seeds, so that an interrupted sweep has complete seeds.

    Args:
        sweep: the sweep.
        where: name of the sweep file, for errors.

    Raises:
        BadRequest: an unknown key, value or option of a recipe or an audit; two runs of the same name; no levels.
    """
    count = (sweep.seeds if isinstance(sweep.seeds, int) else len(sweep.seeds)) * prod(map(len, sweep.vary.values()))
    if count > MOST_RUNS:
        raise BadRequest(f"{where}: {count} runs; allowed: at most {MOST_RUNS}")
    seeds = list(range(sweep.seeds)) if isinstance(sweep.seeds, int) else sweep.seeds
    if not seeds or len(set(seeds)) < len(seeds):
        raise BadRequest(f"{where}: seeds is {sweep.seeds!r}; allowed: a number of at least 1, or different seeds")
    for key in _RESERVED_RECIPE_KEYS:
        if key in sweep.recipe or key in sweep.vary:
            raise BadRequest(f"{where}: recipe key {key!r} is set by the sweep itself; leave it out")
    runs = tuple(_planned(sweep, levels, seed, where) for seed in seeds for levels in _conditions(sweep, where))
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise BadRequest(f"{where}: two runs would be named {name!r}; give every factor different levels")
    return runs


def _conditions(sweep: Sweep, where: str) -> Iterator[dict[str, tuple[str, Changes]]]:
    """Every combination of levels: factor -> the level's name and the recipe keys that it sets."""
    for factor, levels in sweep.vary.items():
        if not levels:
            raise BadRequest(f"{where}: factor {factor!r} has no levels; list at least one")
    choices = []
    for factor, levels in sweep.vary.items():
        if isinstance(levels, dict):
            choices.append([(factor, (name, dict(changes))) for name, changes in levels.items()])
        else:
            choices.append([(factor, ("", {factor: value})) for value in levels])
    yield from map(dict, product(*choices))


def _planned(sweep: Sweep, condition: Mapping[str, tuple[str, Changes]], seed: int, where: str) -> PlannedRun:
    content: dict[str, Any] = {**sweep.recipe, "output": "", "seed": seed}
    for _, changes in condition.values():
        content = reduce(lambda recipe, change: _with(recipe, *change), changes.items(), content)
    if sweep.vary_data:
        content = _with(content, "data.seed", seed)
    validated_recipe = to_jsonable(recipe_from(content, where))  # converts 1e-3, which YAML reads as text, to a number
    levels = {factor: name or _text(_at(validated_recipe, factor)) for factor, (name, _) in condition.items()}
    name = "_".join([*(f"{factor.rpartition('.')[2]}-{level}" for factor, level in levels.items()), f"seed-{seed}"])
    name = re.sub(r"[^\w.+-]+", "-", name)
    root = Path(sweep.output) / "runs" / name
    return PlannedRun(
        name, levels, seed, recipe_from({**content, "output": str(root)}, where), _audit(sweep, root, where)
    )


def _audit(sweep: Sweep, root: Path, where: str) -> Audit:
    allowed = [f.name for f in fields(Audit) if f.name not in _RESERVED_AUDIT_OPTIONS]
    for key in sweep.audit:
        if key not in allowed:
            raise unknown("option", key, allowed, f"{where}: audit")
    return validate(Audit, {**sweep.audit, "run": str(root)}, f"{where}: audit")


def _with(content: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """A copy of nested mappings with a value set at a dotted key."""
    first, _, rest = key.partition(".")
    if not rest:
        return {**content, first: value}
    return {**content, first: _with(content.get(first) or {}, rest, value)}


def _at(content: Any, key: str) -> Any:
    """The value at a dotted key of nested mappings."""
    for part in key.split("."):
        content = content.get(part, MISSING) if isinstance(content, Mapping) else MISSING
    return content


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:g}"
