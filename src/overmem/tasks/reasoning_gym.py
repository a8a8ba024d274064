"""reasoning-gym's generators: endless problems with answers that are checked, and a few with worked solutions."""

from typing import Any

from overmem.errors import BadRequest, unknown
from overmem.seeds import seed_of
from overmem.tasks.data import Data, Row, SourceResult

WORKED = ("answer_cot",)
"""Where a generator's metadata keeps a worked solution."""
_SIZES = {"train": 400, "val": 200, "test": 200}
_PATIENCE = 20


def generated_rows(data: Data) -> SourceResult:
    """Rows of the generator `reasoning-gym:NAME`, as many of each split as asked for, no question twice.

    reasoning-gym seeds item i with seed + i, so that data sets of neighbouring seeds share nearly all their items.
    Here every item has a seed of its own, from (seed, name, split, i).

    Raises:
        BadRequest: reasoning-gym is not installed, or knows no such generator or option.
    """
    name = data.source.partition(":")[2]
    create = _creator(name)
    sizes = {part: getattr(data, part) if getattr(data, part) is not None else n for part, n in _SIZES.items()}
    parts: dict[str, list[Row]] = {}
    notes = []
    seen: set[str] = set()
    # The smallest sets first: where a generator has few questions, evaluation is served before training.
    for part in ("test", "val", "train"):
        parts[part] = []
        for draw in range(_PATIENCE * sizes[part]):
            if len(parts[part]) == sizes[part]:
                break
            row = _row(create, data, name, seed_of(data.seed, "reasoning-gym", name, part, draw) % 2**31)
            if row["question"] not in seen:
                seen.add(row["question"])
                parts[part].append(Row(f"{data.source} ({part})", len(parts[part]) + 1, row))
        if len(parts[part]) < sizes[part]:
            notes.append(f"{part}: {name} has no more than {len(parts[part])} new questions in {_PATIENCE} draws a row")
    worked = any(row.values["solution"] for rows in parts.values() for row in rows)
    if not worked:
        notes.append(f"{name} gives no worked solutions: the solution is the answer alone")
    if name == "gsm_symbolic":
        notes.append("gsm_symbolic is made of GSM8K test questions: do not report GSM8K test after training on it")
    fields = {"question": "question", "answer": "answer", "solution": "solution"}
    return SourceResult(parts, tuple(notes), fields)


def _creator(name: str) -> Any:
    try:
        import reasoning_gym  # type: ignore[import-untyped]
        from reasoning_gym.factory import DATASETS  # type: ignore[import-untyped]
    except ImportError as error:
        raise BadRequest(
            f"source reasoning-gym:{name} needs a package: pip install 'overmem[reasoning-gym]'"
        ) from error
    if name not in DATASETS:
        raise unknown("reasoning-gym generator", name, DATASETS)
    return reasoning_gym.create_dataset


def _row(create: Any, data: Data, name: str, seed: int) -> dict[str, str]:
    try:
        item = create(name, size=1, seed=seed, **data.options)[0]
    except (TypeError, ValueError, AssertionError) as error:
        raise BadRequest(f"reasoning-gym:{name} with options {dict(data.options)}: {error}") from error
    metadata = item.get("metadata") or {}
    solution = next((str(metadata[key]) for key in WORKED if metadata.get(key)), "")
    return {"question": str(item["question"]), "answer": str(item["answer"]), "solution": solution}
