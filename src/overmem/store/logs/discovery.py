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

MAX_DEPTH = 3
"""Levels of subfolders that are searched for runs."""
MAX_FOLDERS = 2000
"""Number of folders that are searched at most."""
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

    Damaged files are noted.

    Raises:
        BadRequest: `root` is a file and cannot be read.
    """
    if root.is_file():
        yield _runs([format_of(root).read(root)], root.parent)
        return
    damaged: list[str] = []
    seen: set[Path] = set()
    for name, form in FORMATS.items():
        paths = [
            p
            for pattern in form.patterns
            for p in sorted(root.glob(pattern))
            if p.is_file() and p not in seen and not _is_own(p, root)
        ]
        paths = list(dict.fromkeys(paths))
        seen |= set(paths)
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
    if damaged:
        yield [RunLog("", (), tuple(damaged))]


def _is_own(path: Path, root: Path) -> bool:
    """Whether overmem wrote it: what it logs to a tracker is no training log."""
    return path.relative_to(root).parts[:-1][-2:] == ("overmem", "tensorboard")


def _newest_first(paths: Sequence[Path]) -> list[Path]:
    """The root's state first, then those of the checkpoints, the last checkpoint first."""
    return sorted(
        paths, key=lambda p: -(step_in(p.parent.name) or 0) if p.parent.name.startswith("checkpoint-") else -1e18
    )


def _newest_state(parts: Sequence[Sequence[LogPart]], root: Path) -> list[RunLog]:
    """The run by the trainer state that was written last."""
    states = [part for group in parts for part in group]
    newest = max(states, key=lambda s: (s.last_step, len(s.rows), s.path.parent == root))
    at_root = next((s for s in states if s.path.parent == root), None)
    notes: tuple[str, ...] = ()
    if at_root is not None and newest is not at_root:
        notes = (
            f"trainer_state.json of the run ends at step {at_root.last_step:,}, so that of {newest.path.parent.name}, "
            f"which goes to step {newest.last_step:,}, was read.",
        )
    return [RunLog("", (newest,), notes)]


def _runs(groups: Sequence[Sequence[LogPart]], root: Path) -> list[RunLog]:
    """The parts by run: files with different evaluation metrics are charts of one run, others are separate runs."""
    parts = [part for group in groups for part in group if _evaluates(part)] or [p for g in groups for p in g]
    by_run: dict[str, list[LogPart]] = {}
    for part in parts:
        by_run.setdefault(part.run, []).append(part)
    runs: list[RunLog] = []
    for run, run_parts in by_run.items():
        if len(run_parts) == 1 or _complementary(run_parts):
            runs.append(RunLog(run, tuple(run_parts)))
        elif _follow_one_another(run_parts):
            paths = ", ".join(clean(p.path.relative_to(root).as_posix()) for p in run_parts)
            note = f"{len(run_parts)} files follow one another (a resumed run?) and were joined: {paths}."
            runs.append(RunLog(run, tuple(run_parts), (note,)))
        else:
            runs += _separate_runs(run, run_parts, root)
    return runs


def _separate_runs(run: str, parts: Sequence[LogPart], root: Path) -> list[RunLog]:
    """The runs of files that do not belong together: one per folder if its files do, else one per file."""
    folders: dict[Path, list[LogPart]] = {}
    for part in parts:
        folders.setdefault(part.path.parent, []).append(part)
    runs = []
    for folder, inside in folders.items():
        is_run = len(folders) > 1 and (len(inside) == 1 or _complementary(inside) or _follow_one_another(inside))
        for path, run_parts in [(folder, inside)] if is_run else [(part.path, [part]) for part in inside]:
            relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
            runs.append(RunLog("/".join(clean(n) for n in (relative, run) if n), tuple(run_parts)))
    return runs


def _evaluates(part: LogPart) -> bool:
    return bool(_metrics(part))


def _metrics(part: LogPart) -> set[str]:
    metrics = (metric_of(key) for row in part.rows for key in row)
    return {f"{m.evaluation_set}/{m.name}" for m in metrics if m is not None and m.direction.kind != "other"}


def _complementary(parts: Sequence[LogPart]) -> bool:
    """Whether no two files have a metric in common."""
    names = [_metrics(part) for part in parts]
    return sum(map(len, names)) == len(set().union(*names))


def _follow_one_another(parts: Sequence[LogPart]) -> bool:
    """Whether the files' steps do not overlap."""
    spans = sorted(_span(part) for part in parts)
    return all(a[1] < b[0] for a, b in pairwise(spans))


def _span(part: LogPart) -> tuple[float, float]:
    """The first and the last evaluated step."""
    steps = [
        s for row in part.rows if _metrics(LogPart(part.path, (row,))) and (s := number(row.get("step"))) is not None
    ]
    return (min(steps), max(steps)) if steps else (0.0, 0.0)


def folders_with_logs(root: Path) -> list[Path]:
    """Folders below `root` with a log, if `root` itself has none."""
    with_log: list[Path] = []
    searched = 0
    level = [root]
    for _ in range(MAX_DEPTH):
        below = [p for folder in level for p in sorted(folder.iterdir()) if p.is_dir() and p.name not in _SKIPPED]
        level = []
        for folder in below:
            searched += 1
            if searched > MAX_FOLDERS:
                return with_log
            if any(_holds_log(run) for runs in _logs_or_none(folder) for run in runs):
                with_log.append(folder)
            else:
                level.append(folder)
    return with_log


def _holds_log(run: RunLog) -> bool:
    return any(_evaluates(part) for part in run.parts)


def _logs_or_none(folder: Path) -> list[list[RunLog]]:
    try:
        return list(logs_of(folder))
    except (BadRequest, OSError):
        return []
