"""Results of simulations kept on disk, so that a study that was stopped goes on, and a page is remade in minutes.

A result is kept under the digest of what it follows from: the cell, the number of runs, and the source of the rule
and of the simulator. A changed rule finds none of them.
"""

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RULE = (
    *(f"src/overmem/verdict/{name}.py" for name in ("accuracy", "clusters", "dips", "facts", "leaning", "luck")),
    *(f"src/overmem/verdict/{name}.py" for name in ("memory", "mismatch", "naming", "pooling", "rise")),
    *(f"src/overmem/verdict/{name}.py" for name in ("stretches", "windows")),
    *(f"studies/worlds/{name}.py" for name in ("curves", "draw", "truth", "world")),
    "studies/judgements.py",
)
"""What every judgement of a simulated run follows from."""


@cache
def digest(paths: tuple[str, ...] = RULE) -> str:
    """Of the source of these files."""
    return sha256(b"\0".join((ROOT / path).read_bytes() for path in paths)).hexdigest()


def cached(folder: Path | None, key: object, make: Callable[[], Any], paths: tuple[str, ...] = RULE) -> Any:
    """What `make` returns, a JSON value, from `folder` where it was made before by the same source."""
    if folder is None:
        return make()
    name = sha256(f"{digest(paths)} {key!r}".encode()).hexdigest()[:24]
    path = folder / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    value = make()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return value
