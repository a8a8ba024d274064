"""reasoning-gym's generators: unlimited problems with verified answers, some with worked solutions."""

from typing import Any

from overmem.errors import BadRequest, unknown
from overmem.seeds import seed_of
from overmem.tasks.data import Data, Row, SourceResult

SOLUTION_KEYS = ("answer_cot",)
"""Keys of an item's metadata that hold a worked solution."""
_SIZES = {"train": 400, "val": 200, "test": 200}
_DRAWS_PER_ROW = 20
"""Maximum draws per requested row, because generators repeat questions."""


def generated_rows(data: Data) -> SourceResult:
    """Rows of the generator `reasoning-gym:NAME`, as many for each split as requested, without repeated questions.

    reasoning-gym seeds item i with seed + i, so data sets of neighbouring seeds share nearly all their items. Here the
    seed of every item depends on (seed, name, split, i).

    Raises:
        BadRequest: reasoning-gym is not installed, or has no such generator or option.
    """
    name = data.source.partition(":")[2]
    create = _creator(name)
    sizes = {part: getattr(data, part) if getattr(data, part) is not None else n for part, n in _SIZES.items()}
    parts: dict[str, list[Row]] = {}
    notes = []
    seen: set[str] = set()
    # Evaluation splits first, because a generator may have too few questions for all splits.
    for part in ("test", "val", "train"):
        parts[part] = []
        for draw in range(_DRAWS_PER_ROW * sizes[part]):
            if len(parts[part]) == sizes[part]:
                break
            row = _row(create, data, name, seed_of(data.seed, "reasoning-gym", name, part, draw) % 2**31)
            if row["question"] not in seen:
                seen.add(row["question"])
                parts[part].append(Row(f"{data.source} ({part})", len(parts[part]) + 1, row))
        if len(parts[part]) < sizes[part]:
            notes.append(f"{part}: {name} gave only {len(parts[part])} new questions in {_DRAWS_PER_ROW} draws per row")
    if not any(row.values["solution"] for rows in parts.values() for row in rows):
        notes.append(f"{name} gives no worked solutions: the solution is only the answer")
    if name == "gsm_symbolic":
        notes.append("gsm_symbolic is derived from GSM8K test questions: do not report GSM8K test after training on it")
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
    solution = next((str(metadata[key]) for key in SOLUTION_KEYS if metadata.get(key)), "")
    return {"question": str(item["question"]), "answer": str(item["answer"]), "solution": solution}
