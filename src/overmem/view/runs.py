"""The runs that are served: found in folders, given distinct names, and read again when their files change."""

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem import store
from overmem.errors import BadRequest
from overmem.explorer import by_relevance, compared, read_details, read_example_table, regimes_of, table_json
from overmem.records import Example, Verdict


@dataclass
class ServedRun:
    """One run, with the table of its examples as it was last read."""

    run: store.Run
    name: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _tag: str = ""
    _body: bytes = b""
    _examples: dict[tuple[str, str], Example] = field(default_factory=dict)
    """(split, id) -> example."""

    def tag(self) -> str:
        """A hash of the times and sizes of all files that the table is read from."""
        plan = store.read_plan(self.run)
        paths = [self.run.plan_path, self.run.verdict_path, self.run.token_texts_path]
        for split in plan.splits:
            paths.append(self.run.examples_path(split))
            for checkpoint in plan.checkpoints:
                paths += [self.run.unit_path(checkpoint.name, split, k) for k in ("scores", "samples", "grades")]
        return hashlib.sha256("\n".join(map(_state, paths)).encode()).hexdigest()[:20]

    def table(self) -> tuple[str, bytes]:
        """The table as JSON, and its tag."""
        with self._lock:
            tag = self.tag()
            if tag != self._tag:
                verdict, table = self.verdict(), read_example_table(self.run)
                names = compared(verdict, table.checkpoints)
                table = table.select(by_relevance(table, names))
                columns = table_json(table, names, regimes_of(verdict))
                body = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
                self._examples = {(s, e.id): e for s, e in zip(table.split, table.examples, strict=True)}
                self._tag, self._body = tag, body.encode()
            return self._tag, self._body

    def example(self, split: str, identity: str) -> dict[str, Any]:
        """The details of one example.

        Raises:
            BadRequest: there is no such example.
        """
        if not self._examples:
            self.table()
        example = self._examples.get((split, identity))
        if example is None:
            raise BadRequest(f"{self.name} has no example {identity!r} in split {split!r}")
        return read_details(self.run, split, [example])[identity]

    def verdict(self) -> Verdict | None:
        """The verdict; None if there is none, or it cannot be read."""
        try:
            return store.read_verdict(self.run)
        except BadRequest:
            return None

    def summary(self) -> dict[str, Any]:
        """The entry in the list of runs."""
        verdict = self.verdict()
        best = verdict.recommended if verdict else None
        return {
            "name": self.name,
            "headline": verdict.headline if verdict else "no verdict yet",
            "regime": verdict.regime if verdict else "",
            "ship": verdict.shipped if verdict else None,
            "accuracy": store.to_jsonable(best.accuracy) if best else None,
            "report": self.run.report_path.is_file(),
        }


def served_runs(folders: Sequence[str], out: str | None) -> list[ServedRun]:
    """The runs at these folders or inside them, with distinct names.

    Raises:
        BadRequest: there is no folder, one is not a run and contains none, or --out is combined with several.
    """
    if not folders:
        raise BadRequest("no run was given; allowed: one audited run directory or several")
    if out is not None and len(folders) > 1:
        raise BadRequest(f"--out was given with {len(folders)} runs; allowed: with one")
    runs: list[store.Run] = []
    for folder in folders:
        run = store.open_run(folder, out)
        below = () if run.plan_path.is_file() else ("*/overmem/plan.json", "*/*/overmem/plan.json")
        inside = sorted(path for pattern in below for path in Path(folder).glob(pattern))
        if inside:
            runs += [store.open_run(path.parent.parent) for path in inside]
        else:
            store.read_plan(run)  # refuses a run that was not audited
            runs.append(run)
    roots = [run.root.resolve() for run in runs]
    names = [root.name for root in roots]
    longer = [n if names.count(n) == 1 else f"{r.parent.name}/{n}" for n, r in zip(names, roots, strict=True)]
    distinct = [n if longer.count(n) == 1 else f"{n} ({i + 1})" for i, n in enumerate(longer)]
    return [ServedRun(run, name) for run, name in zip(runs, distinct, strict=True)]


def _state(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "-"
    return f"{stat.st_mtime_ns} {stat.st_size}"
