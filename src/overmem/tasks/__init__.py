"""Tasks: load examples and split them. One file per source of data. No two splits share a problem."""

import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from overmem.errors import BadData, BadRequest, unknown
from overmem.grading.golds import check_gold
from overmem.records import Example, SplitName
from overmem.tables import resolve
from overmem.tasks import one_step_back, wordproblems, working_backwards
from overmem.tasks.data import Data, LoadedData, Row, Rows, SourceResult
from overmem.tasks.duplicates import problem_labels
from overmem.tasks.files import file_rows, is_file_source, with_absolute_paths
from overmem.tasks.hub import hub_rows, is_hub_source
from overmem.tasks.parsing import parse_rows
from overmem.tasks.presets import PRESETS, with_preset
from overmem.tasks.reasoning_gym import generated_rows
from overmem.tasks.rephrased import check_set_name, pair_with_originals
from overmem.tasks.splits import assign_splits, shares_for, take, without_duplicates

__all__ = ["SOURCES", "Data", "LoadedData", "functions_of", "load", "not_held_out_warning", "with_absolute_paths"]


GENERATED: dict[str, Callable[..., dict[str, list[Example]]]] = {
    "wordproblems": wordproblems.splits,
    "one-step-back": one_step_back.splits,
    "working-backwards": working_backwards.splits,
}
"""The offline tasks that ship with the package: each generates its splits, given their sizes and a seed."""


MOST_GENERATED = 1_000_000
"""Generated rows of one part."""
MOST_ROWS = 10**12
"""Rows that a split can be limited to."""


def generated_splits(data: Data) -> SourceResult:
    """The problems of the built-in task that `data` names."""
    sizes = {name: getattr(data, name) for name in ("train", "val", "test") if getattr(data, name) is not None}
    for name, size in sizes.items():
        if size > MOST_GENERATED:
            raise BadRequest(f"data.{name} is {reprlib.repr(size)}; allowed: at most {MOST_GENERATED:,} generated rows")
    for option in data.options:
        if option != "ood":
            raise unknown("option", option, ["ood"], f"data.options of {data.source}")
    made = GENERATED[data.source](**sizes, **data.options, seed=data.seed)
    return SourceResult({name: list(examples) for name, examples in made.items()}, separate=True)


def user_function(data: Data) -> SourceResult:
    """The rows that the user's "module:function" returns for `data`.

    The function returns rows (mappings) or Examples, or a mapping from `train`, `val`, `test`, `ood-<name>` to such
    lists.
    """
    function = resolve({}, data.source, "data source")
    try:
        result = function(data, **data.options)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the data source {data.source!r} raised {type(error).__name__}: {error}") from error
    parts = result if isinstance(result, Mapping) else {"train": result}
    return SourceResult({name: _as_rows(part, f"{data.source} ({name})") for name, part in parts.items()})


SOURCES: dict[str, Callable[[Data], SourceResult]] = {
    "generated": generated_splits,
    "file": file_rows,
    "hub": hub_rows,
    "reasoning-gym": generated_rows,
    "module:function": user_function,
}
"""Every source of examples. `Data.source` selects one by its name or its form."""


def _check_counts(section: str, data: Data) -> None:
    for name in ("train", "val", "test"):
        rows = getattr(data, name)
        if rows is not None and not 0 <= rows <= MOST_ROWS:
            raise BadRequest(
                f"{section}.{name}: {reprlib.repr(rows)} rows; allowed: 0 to {MOST_ROWS:,}, or null for all others"
            )


def load(data: Data, *, append_answers: bool = True) -> LoadedData:
    """The examples of every split, and notes on what was dropped or added.

    Splitting is deterministic: the order of the rows does not matter, and adding rows does not move others between
    splits, except in the two cases that `overmem.tasks.splits` describes.

    Args:
        data: the request.
        append_answers: append `#### <answer>` to solutions that do not mark their answer, as overmem's own training
            does. False for the run of another trainer: solutions are scored as they were trained on, and the answer is
            only used for grading. Out-of-distribution and rephrased sets follow the training rows.

    Raises:
        BadRequest: a source, column or option that does not exist.
        BadData: a broken row; the message names file and row.
    """
    for section, part in (
        ("data", data),
        *((f"data.ood.{name}", ood) for name, ood in data.ood.items()),
        *((f"data.shifted.{name}", shifted) for name, shifted in data.shifted.items()),
    ):
        _check_counts(section, part)
    if not 0 < data.near_duplicates <= 1:
        raise BadRequest(f"data.near_duplicates: {data.near_duplicates}; allowed: above 0, up to 1")
    for name in data.shifted:
        check_set_name(name)
    for name in data.ood:
        check_set_name(name, "ood", ())
    main = _parts(data, append_answers=append_answers)
    parts, notes = dict(main.parts), list(main.notes)
    separate_parts = set(parts)
    for name, ood in data.ood.items():
        extra = _parts(ood, append_answers=bool(main.appended))
        rows = extra.parts["test"] if extra.parts.get("test") else [e for part in extra.parts.values() for e in part]
        parts[f"ood-{name}"] = list(take(rows, ood.test, ood.seed))
        notes += [f"ood-{name}: {note}" for note in extra.notes]
    if not main.separate:
        parts = _separate(parts, data, notes)
    carved_splits = tuple(name for name in ("val", "test") if name in parts and name not in separate_parts)
    splits = _limit_counts(parts, data, notes)
    for name, rephrased in data.shifted.items():
        extra = _parts(rephrased, append_answers=bool(main.appended))
        rows = [e for part in extra.parts.values() for e in part]
        pairs, pair_notes = pair_with_originals(rows, splits["test"], name)
        splits |= pairs
        notes += [*(f"test+{name}: {note}" for note in extra.notes), *pair_notes]
    return LoadedData(splits, tuple(notes), carved_splits, main.verbatim, main.appended)


def not_held_out_warning(carved_splits: Iterable[str], source: str) -> str:
    """A warning for runs that were not trained by a recipe: these splits may contain rows that were trained on."""
    return (
        f"{' and '.join(carved_splits)}: {source} has no separate rows for it, so they were taken from its training "
        "rows. If the run was trained on all of those, nothing is held out and the results mean nothing: give data "
        "with separate rows for each split (a folder with files for train, val and test, or test_source in a YAML file)"
    )


def functions_of(data: Data) -> set[str]:
    """The functions "module:function" that loading this data would call."""
    named = {s for s in (data.source, data.test_source) if _is_function(s)} | {k for k in (data.kind,) if ":" in k}
    return named.union(*(functions_of(d) for d in (*data.ood.values(), *data.shifted.values())))


def _is_function(source: str) -> bool:
    is_other = is_file_source(source) or is_hub_source(source) or source.startswith("reasoning-gym:")
    return ":" in source and not is_other


def _read_source(data: Data) -> SourceResult:
    """The rows of `data.source`, selected by its name or its form. The caller resolves presets."""
    source, scheme = data.source, data.source.partition(":")[0]
    if source in GENERATED:
        return SOURCES["generated"](data)
    if is_file_source(source):
        return SOURCES["file"](data)
    if scheme == "reasoning-gym" or is_hub_source(source):
        return SOURCES["hub" if scheme != "reasoning-gym" else scheme](data)
    if _is_function(source):
        return SOURCES["module:function"](data)
    forms = ["a file or folder", "org/name", "hub:org/name", "reasoning-gym:NAME", "module:function"]
    raise unknown("data source", source, [*GENERATED, *PRESETS, *forms])


def _with_test(data: Data) -> SourceResult:
    """The rows of the source, with the test rows of `data.test_source` if there is one."""
    result = _read_source(data)
    if not data.test_source:
        return result
    is_source = is_file_source(data.test_source) or is_hub_source(data.test_source) or ":" in data.test_source
    if is_source or data.test_source in PRESETS:
        other = with_preset(Data(source=data.test_source))
    else:
        other = replace(data, split=data.test_source)
    test = _read_source(other)
    return replace(result, parts={**result.parts, "test": test.parts.get("test") or test.parts["train"]})


@dataclass(frozen=True)
class _Parts:
    """The examples of each part of a source, without duplicate questions."""

    parts: Mapping[str, list[Example]]
    notes: tuple[str, ...]
    separate: bool
    """Whether no two parts share a problem."""
    verbatim: bool = False
    appended: int = 0
    """Training solutions that had their answer appended."""


def _parts(data: Data, *, append_answers: bool) -> _Parts:
    data = with_preset(data)
    result = _with_test(data)
    fields = {**result.fields, **data.fields}
    notes = list(result.notes)
    parts: dict[str, list[Example]] = {}
    kind, verbatim, appended = "", False, 0
    for name, rows in result.parts.items():
        examples = [row for row in rows if isinstance(row, Example)]
        if examples:
            check_gold(examples, f"{data.source} ({name})")
        else:
            raw = [row for row in rows if isinstance(row, Row)]
            parsed = parse_rows(raw, data, fields, kind, append_answers=append_answers)
            examples, kind = parsed.examples, parsed.kind
            if name == "train" or len(result.parts) == 1:
                verbatim, appended = parsed.verbatim, parsed.appended
            if parsed.appended:
                notes.append(f"{name}: the answer was appended to {parsed.appended} solutions that do not mark it")
            if parsed.with_system:
                notes.append(f"{name}: {parsed.with_system} examples with their own system turn, rendered with it")
            if parsed.conversations:
                which = "every reply is" if data.replies == "each" else "the last reply is"
                notes.append(
                    f"{name}: {parsed.conversations} conversations of several replies, of which {which} scored "
                    f"(replies: {data.replies}), after all turns before it"
                )
            if parsed.broken:
                notes.append(f"{name}: {len(parsed.broken)} broken rows left out, the first: {parsed.broken[0]}")
        parts[name] = without_duplicates(examples)
        if dropped := len(examples) - len(parts[name]):
            notes.append(f"{name}: {dropped} rows with a repeated question left out")
    return _Parts(parts, tuple(notes), result.separate, verbatim, appended)


def _separate(parts: dict[str, list[Example]], data: Data, notes: list[str]) -> dict[str, list[Example]]:
    """Remove training rows that evaluation parts have too, and take missing val and test parts from training rows."""
    order = sorted(parts, key=lambda name: {"test": 0, "val": 2, "train": 3}.get(name, 1))
    all_examples = [example for name in order for example in parts[name]]
    all_labels = problem_labels(all_examples, data.near_duplicates).tolist()
    used_labels: set[int] = set()
    start = 0
    kept: dict[str, list[Example]] = {}
    kept_labels: dict[str, list[int]] = {}
    for name in order:
        labels = all_labels[start : start + len(parts[name])]
        start += len(labels)
        # Evaluation sets may overlap: an ood set is often another version of the test set.
        is_duplicate = [label in used_labels for label in labels]
        if SplitName.parse(name).is_ood:
            if any(is_duplicate):
                notes.append(
                    f"{name}: {sum(is_duplicate)} questions are near-duplicates of test questions, and are kept"
                )
            kept[name] = parts[name]
        else:
            kept[name] = [
                example for example, duplicate in zip(parts[name], is_duplicate, strict=True) if not duplicate
            ]
            kept_labels[name] = [label for label, duplicate in zip(labels, is_duplicate, strict=True) if not duplicate]
            if any(is_duplicate):
                notes.append(
                    f"{name}: {sum(is_duplicate)} rows left out that are near-duplicates of evaluation questions"
                )
        used_labels |= set(labels)
    missing = [name for name in ("test", "val") if name not in kept]
    if missing and kept.get("train"):
        train_rows = kept["train"]
        counts = {name: getattr(data, name) for name in (*missing, "train")}
        indices = assign_splits(train_rows, kept_labels["train"], shares_for(counts, len(train_rows)), data.seed)
        kept |= {name: [train_rows[i] for i in chosen] for name, chosen in indices.items()}
    return kept


def _limit_counts(parts: Mapping[str, list[Example]], data: Data, notes: list[str]) -> dict[str, tuple[Example, ...]]:
    """The requested number of examples of each split, and a note if there are fewer or none."""
    splits: dict[str, tuple[Example, ...]] = {}
    for name in ("train", "val", "test", *(name for name in parts if SplitName.parse(name).is_ood)):
        requested = getattr(data, name, None)
        splits[name] = take(parts.get(name, []), requested, data.seed)
        if not splits[name]:
            notes.append(f"{name}: empty ({'0 rows were requested' if requested == 0 else 'no rows remain for it'})")
        elif requested is not None and len(splits[name]) < requested:
            notes.append(f"{name}: {len(splits[name])} of {requested} requested rows")
    return splits


def _as_rows(part: Iterable[Any], where: str) -> Rows:
    rows = list(part)
    if all(isinstance(row, Example) for row in rows):
        return rows
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise BadData(f"{where}, row {number}: {type(row).__name__} where a mapping or an Example is expected")
    return [Row(where, number, row) for number, row in enumerate(rows, 1)]
