"""The observed text: the examples of every split, and the text of every token of their solutions."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields

import polars as pl

from overmem.errors import BadRequest
from overmem.records import Example
from overmem.store.files import read_frame, write_frame
from overmem.store.paths import Run

HINT = "run `overmem audit` first"
_COLUMNS = {f.name: pl.String for f in fields(Example)}
_LATER = [f.name for f in fields(Example) if f.default is not MISSING]
"""Columns that earlier versions did not write."""
_TEXT_COLUMNS = {"token_id": pl.Int32, "text": pl.String}


def write_examples(run: Run, split: str, examples: Sequence[Example]) -> None:
    """Write the examples of one split."""
    write_frame(run.examples_path(split), pl.DataFrame([asdict(e) for e in examples], schema=_COLUMNS))


def read_examples(run: Run, split: str) -> tuple[Example, ...]:
    """The examples of one split, in the order of sampling; no two have the same id.

    Raises:
        BadRequest: the file is missing or damaged.
    """
    frame = read_frame(run.examples_path(split), HINT, _COLUMNS, optional=_LATER)
    if frame["id"].is_duplicated().any():
        twice = frame["id"].filter(frame["id"].is_duplicated())[0]
        raise BadRequest(f"{run.examples_path(split)} is damaged: example {twice[:80]!r} is in it twice; {HINT}")
    return tuple(Example(**row) for row in frame.iter_rows(named=True))


def example_splits(run: Run) -> list[str]:
    """The splits whose examples are in the run directory, sorted by name."""
    return sorted(path.stem for path in run.examples_path("").parent.glob("*.parquet"))


def write_token_texts(run: Run, texts: Mapping[int, str]) -> None:
    """Write the text of each token, so that scores can be shown without a tokenizer."""
    columns = {"token_id": list(texts), "text": list(texts.values())}
    write_frame(run.token_texts_path, pl.DataFrame(columns, _TEXT_COLUMNS))


def read_token_texts(run: Run) -> dict[int, str]:
    """Token id -> its text; empty if it was not written, or is damaged: tokens are then shown by their ids."""
    try:
        frame = read_frame(run.token_texts_path, HINT, _TEXT_COLUMNS)
    except BadRequest:
        return {}
    return dict(zip(frame["token_id"], frame["text"], strict=True))
