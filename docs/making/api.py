"""The page of what `import overmem` offers, from the docstrings.

python -m docs.making.api docs/api.md
"""

import inspect
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import overmem
from overmem.store import write_text

VERBS = ("diagnose", "audit", "open", "report", "compare", "merge", "search_merges", "train")
TRAINING = ("OvermemCallback", "with_loss")
RUN = ("verdict", "measurements", "checkpoints", "curves", "samples")


def api_page() -> str:
    """The page as Markdown."""
    parts = [
        "# overmem from Python\n\nMade by `make docs` from the docstrings; change it there. `import overmem` loads "
        "nothing heavy: each name is imported when it is first used.\n",
        "\n## Functions\n",
        *(_entry(f"overmem.{name}", getattr(overmem, name)) for name in VERBS),
        "\n## A run\n\n`overmem.open(folder)` gives a `Run`:\n\n",
        *(f"- `.{name}{_call(name)}`: {_first_line(getattr(overmem.Run, name))}\n" for name in RUN),
        "\n## In a trainer\n",
        *(_entry(f"overmem.{name}", getattr(overmem, name)) for name in TRAINING),
        "\n## Records\n",
        *(_record(name) for name in sorted(overmem._NOUNS)),
    ]
    return "".join(parts)


def _call(name: str) -> str:
    attribute = inspect.getattr_static(overmem.Run, name)
    if not inspect.isfunction(attribute):
        return ""
    names = [str(p).split(":")[0] + (f"={p.default!r}" if p.default is not p.empty else "") for p in
             list(inspect.signature(attribute).parameters.values())[1:]]  # fmt: skip
    return f"({', '.join(names)})"


def _entry(title: str, function: Any) -> str:
    names = []
    for p in inspect.signature(function).parameters.values():
        star = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        names.append(f"{star}{p.name}" + (f"={_default(p.default)}" if p.default is not p.empty else ""))
    text = inspect.getdoc(inspect.unwrap(function)) or ""
    return f"\n### `{title}({', '.join(names)})`\n\n```text\n{text}\n```\n"


def _default(value: Any) -> str:
    return "..." if callable(value) else repr(value)


def _record(name: str) -> str:
    kind = getattr(overmem, name)
    names = ", ".join(f"`{f.name}`" for f in fields(kind)) if is_dataclass(kind) else ""
    return f"\n### `overmem.{name}`\n\n{_first_line(kind)}\n\nFields: {names}\n"


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0]


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), api_page())
