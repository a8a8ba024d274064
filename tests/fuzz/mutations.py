"""Seeded mutations of a file: values of other types in valid JSON, damaged bytes, other encodings, other tables."""

import io
import json
import random
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from overmem.store import checksum

_DEEP: Any = 0
for _ in range(300):
    _DEEP = [_DEEP]
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**63) - 1, 10**400, 1e308, -1e308, 1e30, 1e-320, 0.5,
    float("nan"), float("inf"), float("-inf"), "", " ", "0", "nan", "-1", "1e400", "\x00",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eevil\u2066", "../../outside", "/etc/passwd", "~", "~nobody/x", "a" * 5000, "\ud800", "é", "{question}",
    "{question!r:>{width}}", "{0.__class__}", "{% for x in range(10) %}", "<script>alert(1)</script>",
    "module:function",
    "os:system", ":", "a:b:c", [], {}, [[]], [None], [1, "a"], {"": 0}, {"a": {"b": []}}, [0] * 1000, _DEEP, ["a"] * 3,
)  # fmt: skip
"""Values that a reader may not expect."""


def mutated(content: bytes, suffix: str, draw: random.Random) -> bytes:
    """The content of a file, changed in one to three places, or damaged.

    Args:
        content: of the file.
        suffix: of its name, which says what it holds.
        draw: decides.
    """
    structured = _STRUCTURED.get(suffix)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if structured is not None and draw.random() < 0.75:
            try:
                content = structured(content, draw)
                continue
            except (ValueError, RecursionError, OverflowError, yaml.YAMLError, pl.exceptions.PolarsError):
                pass  # damaged before
        content = draw.choice(_BYTES)(content, draw)
    return content


def _flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 8, 64)) if changed else 0):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _insert(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content) + 1)
    piece = draw.choice(
        (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 3000, b'{"a":' * 3000, b"\n\n", b"\r", b"&a *a", b",")
    )
    return content[:place] + piece + content[place:]


def _drop(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start + draw.choice((1, 5, 50, 500)) :]


def _repeat(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) + 1)
    return content[:start] + content[start : start + draw.choice((5, 50, 500))] * 3 + content[start:]


def _encode(content: bytes, draw: random.Random) -> bytes:
    text = content.decode("utf-8", errors="replace") + "é"
    return text.encode(draw.choice(("utf-16", "utf-16-le", "latin-1", "utf-32", "utf-8-sig")), errors="replace")


def _empty(content: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"", b" ", b"null", b"[]", b"{}", b"0", b'"text"', b"\n", b"---\n...", b"NaN", b"\x00" * 100))


_BYTES = (_flip, _flip, _cut, _insert, _drop, _repeat, _encode, _empty)


def _json(content: bytes, draw: random.Random) -> bytes:
    return json.dumps(_changed(json.loads(content), draw)).encode()


def _json_lines(content: bytes, draw: random.Random) -> bytes:
    lines = content.splitlines()
    if not lines:
        raise ValueError("no line")
    place = draw.randrange(len(lines))
    lines[place] = _json(lines[place], draw).replace(b"\n", b" ")
    return b"\n".join(lines) + b"\n"


def _changed(value: Any, draw: random.Random) -> Any:
    """A JSON value with one part changed, renamed, removed, doubled or swapped."""
    parents = []
    stack = [value]
    while stack and len(parents) < 5000:  # YAML may hold itself
        part = stack.pop()
        if isinstance(part, dict) and part:
            parents.append(part)
            stack += part.values()
        elif isinstance(part, list) and part:
            parents.append(part)
            stack += part[:50]
    if not parents:
        return draw.choice(STRANGE)
    parent = draw.choice(parents)
    key = draw.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    what = draw.random()
    if what < 0.6:
        parent[key] = draw.choice(STRANGE)
    elif what < 0.75:
        del parent[key]
    elif what < 0.85:
        other = draw.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        parent[key], parent[other] = parent[other], parent[key]
    elif isinstance(parent, dict):
        parent["".join(draw.choices(string.printable, k=draw.choice((0, 1, 8))))] = draw.choice(STRANGE)
    else:
        parent.insert(key, parent[key] if draw.random() < 0.5 else draw.choice(STRANGE))
    return value


def _parquet(content: bytes, draw: random.Random) -> bytes:
    """A table with a column missing, of another type or with strange values, fewer or more rows, or another note."""
    frame = _intact(content)
    note = pl.read_parquet_metadata(io.BytesIO(content)).get("overmem")
    metadata = {} if note is None else {"overmem": note}
    column = draw.choice(frame.columns) if frame.columns else None
    what = draw.random()
    if column is None or what < 0.15:
        metadata = draw.choice(
            ({}, {"overmem": "null"}, {"overmem": "{"}, {"overmem": _json((note or "{}").encode(), draw).decode()})
        )
    elif what < 0.3:
        frame = frame.drop(column)
    elif what < 0.4:
        frame = frame.rename({column: column + "x"})
    elif what < 0.5:
        frame = frame.head(draw.randrange(frame.height + 1))
    elif what < 0.6:
        frame = pl.concat([frame, frame.head(draw.choice((1, 5)))])
    elif what < 0.75:
        kind = draw.choice((pl.String, pl.Float64, pl.Int64, pl.Boolean, pl.List(pl.Float64), pl.Int8))
        frame = frame.with_columns(pl.col(column).cast(kind, strict=False))
    elif what < 0.9:
        values = frame[column].to_list()
        if values:
            values[draw.randrange(len(values))] = draw.choice(
                (None, float("nan"), float("inf"), -1e30, -1, "", "\ud7ffx", [], 10**9)
            )
        try:
            series = pl.Series(column, values, dtype=frame[column].dtype, strict=False)
        except (TypeError, OverflowError):
            series = pl.Series(column, [None] * len(values), dtype=frame[column].dtype)
        frame = frame.with_columns(series)
    else:
        frame = frame.sample(fraction=1.0, shuffle=True, seed=draw.randrange(1000))
    return _with_checksum(frame, metadata)


def _intact(content: bytes) -> pl.DataFrame:
    """A table that no earlier mutation has damaged: reading a damaged one may end the process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        path.write_bytes(content)
        if not checksum.is_intact(path):
            raise ValueError("damaged before")
        return pl.read_parquet(path)


def _with_checksum(frame: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    """A table as another version of overmem might have written it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        frame.write_parquet(path, metadata=metadata | {checksum.NAME: "before the footer"})
        checksum.add(path)
        return path.read_bytes()


def _safetensors(content: bytes, draw: random.Random) -> bytes:
    """Weights with another header: entries changed, removed or renamed, or another length."""
    size = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + size], content[8 + size :]
    if draw.random() < 0.2:
        return draw.choice((0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little") + header + rest
    header = _json(header, draw)
    return len(header).to_bytes(8, "little") + header + rest


def _yaml(content: bytes, draw: random.Random) -> bytes:
    """YAML, written as JSON with one part changed; or with tags and anchors."""
    value = _changed(yaml.safe_load(content), draw)
    text = json.dumps(value) if draw.random() < 0.5 else yaml.safe_dump(value, allow_unicode=True)
    if draw.random() < 0.1:
        text += draw.choice(
            (
                "\nx: !!python/object/apply:os.system ['true']\n",
                "\na: &a [*a]\n",
                "\n<<: *b\n",
                "\n? [a]\n: 1\n",
                "\n: :\n",
            )
        )
    return text.encode("utf-8", errors="surrogatepass")


_STRUCTURED: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
    ".yaml": _yaml,
}
