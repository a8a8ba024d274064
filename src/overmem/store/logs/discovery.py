"""Finds the log files in a folder and the runs they belong to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.formats import FORMATS, format_of
from overmem.store.logs.formats.trainer_state import step_in
from overmem.store.logs.metrics import metric_of
from overmem.store.logs.rows import LogPart, clean, number

DEEPEST = 3
"""Levels of folders that are searched for runs."""
MOST = 2000
"""Most folders that are searched."""
_SKIPPED = ("overmem", "node_modules", "__pycache__")


@dataclass(frozen=True)
class RunLog:
    """The files of one run in one format."""

    name: str
    """Name by which the user may choose it; empty if there is only one."""
    parts: tuple[LogPart, ...]
    notes: tuple[str, ...] = ()


def logs_of(root: Path) -> Iterator[list[RunLog]]:
    """For each format, in order of preference, the runs that a folder (or one file) holds in it.

    Damaged files are noted; a file that was given by name and cannot be read is refused.
    """
    if root.is_file():
        yield _runs([format_of(root).read(root)], root.parent)
        return
    damaged: list[str] = []
    taken: set[Path] = set()
    for name, form in FORMATS.items():
        paths = [p for pattern in form.patterns for p in sorted(root.glob(pattern)) if p.is_file() and p not in taken]
        paths = list(dict.fromkeys(paths))
        taken |= set(paths)
        parts: list[list[LogPart]] = []
        order = _newest_first(paths) if name == "trainer state" else paths
        for path in order:
            try:
                parts.append(form.read(path))
            except BadRequest as error:
                damaged.append(f"{error}; it was passed over.")
                continue
            if name == "trainer state" and path.parent != root:
                break  # the states of earlier checkpoints hold the beginning of this one
        if parts:
            runs = _newest_state(parts, root) if name == "trainer state" else _runs(parts, root)
            yield [replace(run, notes=(*damaged, *run.notes)) for run in runs]
    if damaged and not taken - {Path()}:
        raise BadRequest(damaged[0])
    if damaged:
        yield [RunLog("", (), tuple(damaged))]


def _newest_first(paths: Sequence[Path]) -> list[Path]:
    """The root's state first, then those of the checkpoints, the last checkpoint first."""
    return sorted(
        paths, key=lambda p: -(step_in(p.parent.name) or 0) if p.parent.name.startswith("checkpoint-") else -1e18
    )


def _newest_state(parts: Sequence[Sequence[LogPart]], root: Path) -> list[RunLog]:
    states = [part for group in parts for part in group]
    newest = max(states, key=lambda s: (s.last_step, len(s.rows), s.path.parent == root))
    at_root = next((s for s in states if s.path.parent == root), None)
    notes: tuple[str, ...] = ()
    if at_root is not None and newest is not at_root:
        notes = (
            f"trainer_state.json of the run ends at step {at_root.last_step:,}; that of {newest.path.parent.name}, "
            f"which goes to step {newest.last_step:,}, was read.",
        )
    return [RunLog("", (newest,), notes)]


def _runs(groups: Sequence[Sequence[LogPart]], root: Path) -> list[RunLog]:
    """The parts by run: files with different evaluation metrics are charts of one run, others are separate runs."""
    parts = [part for group in groups for part in group if _evaluates(part)] or [p for g in groups for p in g]
    named: dict[str, list[LogPart]] = {}
    for part in parts:
        named.setdefault(part.run, []).append(part)
    runs: list[RunLog] = []
    for run, mine in named.items():
        if len(mine) == 1 or _complementary(mine):
            runs.append(RunLog(run, tuple(mine)))
            continue
        if _successive(mine):
            note = f"{len(mine)} files follow one another (a resumed run?) and were joined: {_names(mine, root)}."
            runs.append(RunLog(run, tuple(mine), (note,)))
            continue
        runs += _apart(run, mine, root)
    return runs


def _apart(run: str, parts: Sequence[LogPart], root: Path) -> list[RunLog]:
    """Files of different runs, by folder if every folder is a run."""
    folders: dict[Path, list[LogPart]] = {}
    for part in parts:
        folders.setdefault(part.path.parent, []).append(part)
    runs = []
    for folder, mine in folders.items():
        whole = len(folders) > 1 and (len(mine) == 1 or _complementary(mine) or _successive(mine))
        for path, own in [(folder, mine)] if whole else [(part.path, [part]) for part in mine]:
            inside = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
            runs.append(RunLog("/".join(clean(n) for n in (inside, run) if n), tuple(own)))
    return runs


def _names(parts: Sequence[LogPart], root: Path) -> str:
    return ", ".join(clean(p.path.relative_to(root).as_posix()) for p in parts)


def _evaluates(part: LogPart) -> bool:
    return bool(_metrics(part))


def _metrics(part: LogPart) -> set[str]:
    metrics = (metric_of(key) for row in part.rows for key in row)
    return {f"{m.evaluation_set}/{m.name}" for m in metrics if m is not None and m.direction.kind != "other"}


def _complementary(parts: Sequence[LogPart]) -> bool:
    names = [_metrics(part) for part in parts]
    return sum(map(len, names)) == len(set().union(*names))


def _successive(parts: Sequence[LogPart]) -> bool:
    """Whether the files' steps do not overlap."""
    spans = sorted(_span(part) for part in parts)
    return all(a[1] < b[0] for a, b in pairwise(spans))


def _span(part: LogPart) -> tuple[float, float]:
    steps = [
        s for row in part.rows if _metrics(LogPart(part.path, (row,))) and (s := number(row.get("step"))) is not None
    ]
    return (min(steps), max(steps)) if steps else (0.0, 0.0)


def folders_with_logs(root: Path) -> list[Path]:
    """Folders below `root` with a log, if `root` itself has none."""
    found: list[Path] = []
    seen = 0
    level = [root]
    for _ in range(DEEPEST):
        below = [p for folder in level for p in sorted(folder.iterdir()) if p.is_dir() and p.name not in _SKIPPED]
        level = []
        for folder in below:
            seen += 1
            if seen > MOST:
                return found
            if any(_holds_log(run) for runs in _quietly(folder) for run in runs):
                found.append(folder)
            else:
                level.append(folder)
    return found


def _holds_log(run: RunLog) -> bool:
    return any(_evaluates(part) for part in run.parts)


def _quietly(folder: Path) -> list[list[RunLog]]:
    try:
        return list(logs_of(folder))
    except (BadRequest, OSError):
        return []
