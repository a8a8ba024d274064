"""Data sets of the Hugging Face hub, loaded by `datasets` from its cache or the network."""

from collections.abc import Iterable, Mapping
from typing import Any

from overmem.errors import BadRequest, unknown
from overmem.tasks.data import Data, Row, SourceResult

_PARTS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}


def hub_rows(data: Data) -> SourceResult:
    """The rows of `hub:org/name`, `hub:org/name:subset` or `hub:org/name:subset:split`.

    Its splits train, validation and test are used unchanged. If a split is named, here or in `data.split`, only that
    one is used.

    Raises:
        BadRequest: the data set cannot be read (no network, no such name), or has no such split.
    """
    name, subset, split = (*data.source.removeprefix("hub:").split(":"), "", "")[:3]
    subset, split = subset or data.subset, split or data.split
    splits = _splits(name, subset)
    if split:
        if split not in splits:
            raise unknown("split", split, splits, f"hub data set {name}")
        return SourceResult({"train": _rows(name, split, splits[split])})
    if len(splits) == 1:
        only = next(iter(splits))
        return SourceResult({"train": _rows(name, only, splits[only])})
    split_of = {part: next((n for n in names if n in splits), None) for part, names in _PARTS.items()}
    parts = {part: _rows(name, used, splits[used]) for part, used in split_of.items() if used}
    if "train" not in parts and "test" not in parts:
        raise BadRequest(f"hub data set {name} has no split train; name one of {', '.join(splits)} as split:")
    unused = sorted(set(splits) - set(split_of.values()))
    return SourceResult(parts, notes=(f"splits of {name} that are not used: {', '.join(unused)}",) if unused else ())


def is_hub_source(source: str) -> bool:
    """Whether `source` is a hub id: `hub:...`, or org/name."""
    return source.startswith("hub:") or (source.count("/") == 1 and not source.startswith((".", "/", "~")))


def _splits(name: str, subset: str) -> Mapping[str, Iterable[Mapping[str, Any]]]:
    import datasets  # type: ignore[import-untyped]

    try:
        loaded = datasets.load_dataset(name, subset or None)
    except Exception as error:  # network, hub and file formats raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadRequest(
            f"hub data set {name!r}{f' ({subset})' if subset else ''} could not be read: {reason}. "
            "Without a network, source: may be a .jsonl, .json, .csv or .parquet file"
        ) from error
    return dict(loaded.items())


def _rows(name: str, split: str, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [Row(f"{name} ({split})", number, values) for number, values in enumerate(rows, 1)]
