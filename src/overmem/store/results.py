"""Measurements, verdict, recipe, reference logprobs and the trainer's log."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from pydantic import TypeAdapter

from overmem.errors import BadRequest, one_line
from overmem.json_text import parse_json
from overmem.records import READABLE_SCHEMAS, RULE, Measurement, Verdict
from overmem.records.searches import MergeSearch
from overmem.store.files import read_frame, to_jsonable, write_frame, write_json, write_text
from overmem.store.measurements_0_1_0 import from_0_1_0
from overmem.store.old_verdicts import upgraded
from overmem.store.paths import Run
from overmem.yaml_files import read_yaml

_MEASUREMENT_COLUMNS = {
    f.name: {"str": pl.String, "int": pl.Int64}.get(getattr(f.type, "__name__", ""), pl.Float64)
    for f in fields(Measurement)
} | {"at": pl.String}
"""`at` is stored as a JSON object."""


def write_measurements(run: Run, rows: Sequence[Measurement]) -> None:
    """Write the table of measurements."""
    table = [to_jsonable(r) | {"at": json.dumps(to_jsonable(r.at), sort_keys=True)} for r in rows]
    frame = pl.DataFrame(table, schema=_MEASUREMENT_COLUMNS)
    write_frame(run.measurements_path, frame)


def read_measurements(run: Run) -> list[Measurement]:
    """Every measurement of the run.

    Raises:
        BadRequest: the run was not audited.
    """
    path, hint = run.measurements_path, f"run `overmem audit {run.root}` first"
    frame = read_frame(path, hint, _MEASUREMENT_COLUMNS, optional=("value", "stderr", "low", "high", "at"))
    if "value" not in frame.columns:
        raise BadRequest(f"{path} is damaged: its column 'value' is missing; {hint}")
    if "at" not in frame.columns:
        return from_0_1_0(Measurement(**row) for row in frame.iter_rows(named=True))
    return [Measurement(**row | {"at": _at(row["at"], path, hint)}) for row in frame.iter_rows(named=True)]


def _at(text: object, path: Path, hint: str) -> dict[str, Any]:
    try:
        content = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(v, str | int | float) for v in content.values()):
        raise BadRequest(f"{path} is damaged: its column 'at' holds {str(text)[:40]!r}, no JSON object; {hint}")
    return content


def write_verdict(run: Run, verdict: Verdict) -> None:
    """Write the verdict."""
    write_json(run.verdict_path, verdict)


def read_verdict(run: Run) -> Verdict:
    """The verdict, with a warning if an older version of the rule made it.

    Raises:
        BadRequest: there is none, or it is damaged or has an unsupported schema.
    """
    if not run.verdict_path.is_file():
        raise BadRequest(f"{run.root} has no verdict yet; run `overmem diagnose {run.root}` first")
    try:
        verdict = _verdict_adapter().validate_python(upgraded(parse_json(run.verdict_path.read_bytes())))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:  # a ValidationError is a ValueError
        raise BadRequest(f"{run.verdict_path} cannot be read: {one_line(error)}") from error
    if verdict.schema not in READABLE_SCHEMAS:
        raise BadRequest(f"{run.verdict_path} has schema {verdict.schema}, this overmem reads 1 and 2")
    if verdict.rule >= RULE:
        return verdict
    made_by = f"version {verdict.rule} of the rule" if verdict.rule else "a rule without a version"
    older = (
        f"This verdict was made by {made_by}, which is now version {RULE}: `overmem diagnose {run.root}` judges again."
    )
    return verdict if older in verdict.warnings else replace(verdict, warnings=(older, *verdict.warnings))


@cache
def _verdict_adapter() -> TypeAdapter[Verdict]:
    """Made once: it takes longer than reading a verdict."""
    return TypeAdapter(Verdict)


def read_search(run: Run) -> MergeSearch | None:
    """What the last search for a merge found; None if there was none, or an earlier version's cannot be read."""
    try:
        return TypeAdapter(MergeSearch).validate_json(run.search_path.read_bytes())
    except (OSError, ValueError):
        return None


def write_recipe(run: Run, recipe: object) -> None:
    """Write the recipe of `train`."""
    write_text(run.recipe_path, yaml.safe_dump(to_jsonable(recipe), sort_keys=False, allow_unicode=True))


def read_recipe(run: Run) -> dict[str, Any]:
    """The recipe of `train`; empty for the run of another trainer.

    Raises:
        BadRequest: it is damaged.
    """
    return read_yaml(run.recipe_path) if run.recipe_path.is_file() else {}


def write_reference(run: Run, logprobs: Mapping[str, np.ndarray]) -> None:
    """Write the base model's log probabilities in nats: one row per document, one number per token."""
    columns = {"document": list(logprobs), "logprob": [row.tolist() for row in logprobs.values()]}
    write_frame(run.reference_path, pl.DataFrame(columns, {"document": pl.String, "logprob": pl.List(pl.Float32)}))


def read_reference(run: Run) -> dict[str, np.ndarray]:
    """The base model's log probabilities by document.

    Raises:
        BadRequest: they were not written, or are damaged.
    """
    columns = {"document": pl.String, "logprob": pl.List(pl.Float32)}
    frame = read_frame(run.reference_path, "it is written when training starts, so start the training again", columns)
    return {name: row.to_numpy() for name, row in zip(frame["document"], frame["logprob"], strict=True)}


def read_log_history(run: Run) -> list[dict[str, Any]]:
    """The trainer's log: from `trainer_state.json` of the run or of its last checkpoint; empty if there is none."""
    history = _trainer_state(run).get("log_history")
    return [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []


def read_trainers_choice(run: Run) -> str | None:
    """Name of the trainer's best checkpoint (`best_model_checkpoint`); None if it has none."""
    best = _trainer_state(run).get("best_model_checkpoint")
    return re.split(r"[\\/]", best.rstrip("\\/"))[-1] if isinstance(best, str) and best else None


def _trainer_state(run: Run) -> dict[str, Any]:
    paths = run.root.glob("checkpoint-*/trainer_state.json")
    numbered = sorted((p for p in paths if p.parent.name[11:].isdecimal()), key=lambda p: int(p.parent.name[11:]))
    for path in [run.root / "trainer_state.json", *reversed(numbered)]:
        try:
            state = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # missing, or truncated
        if isinstance(state, dict) and "log_history" in state:
            return state
    return {}
