"""The verb `sweep`: trains, audits and judges every run, and writes the table, the page and the tables for a paper."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from overmem import store
from overmem.audit.launch import check_launch
from overmem.audit.worker_options import Worker
from overmem.errors import BadRequest
from overmem.observe.clock import Progress
from overmem.report.page import document
from overmem.sweep.conditions import PlannedRun, read_planned
from overmem.sweep.findings import SweepFindings, sweep_findings
from overmem.sweep.sections import SECTIONS, headline
from overmem.sweep.table import read_table, write_table
from overmem.sweep.tables import TABLES
from overmem.sweep.work import failure, forget_failures, is_done, work_through
from overmem.sweep.worker import SweepLaunch, run_workers


@dataclass(frozen=True)
class Swept:
    """A finished sweep."""

    output: Path
    page: Path
    table: Path
    runs: tuple[PlannedRun, ...]
    failures: dict[str, str]
    """Run -> why it could not be finished."""

    def __repr__(self) -> str:
        """The number of runs, and the path of the page."""
        done = sum(map(is_done, self.runs))
        return f"Swept({str(self.output)!r}, {done} of {len(self.runs)} runs done, page {str(self.page)!r})"


def sweep(
    path: str,
    *,
    workers: int = 1,
    executor: str = "local",
    slurm: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> Swept:
    """Do every run of a sweep file that is not done yet, and write the page.

    Several processes may do this at once on one folder: each run is done by one of them.

    Args:
        path: the sweep file.
        workers: number of runs that are done at once.
        executor: where they are done: `local`, `ray`, `slurm` or "module:function".
        slurm: options for sbatch, "key=value" each.
        say: called with a line on each thing that happens.
        progress: called with (description, runs done, runs in total).

    Raises:
        BadRequest: the sweep file, a recipe or an audit option is not allowed. Nothing was trained.
    """
    config, runs = read_planned(path)
    say(f"{len(runs)} runs, {sum(map(is_done, runs))} of them done")
    forget_failures(runs)
    check_launch(workers, executor)
    if workers == 1 and executor == "local":
        work_through(runs, config.keep, say=say, progress=progress)
    else:
        launch = SweepLaunch(path=path, output=config.output, workers=workers, slurm=slurm)
        run_workers(launch, runs, executor, progress=progress)
    return write_page(path)


def work_on(config: Worker, *, say: Callable[[str], None]) -> None:
    """Do the work of one worker on the sweep file `config.run`; with `finish` the page is written at the end."""
    sweep_config, runs = read_planned(config.run)
    parent = config.parent_pid
    has_lost_parent = (lambda: False) if parent is None else lambda: not psutil.pid_exists(parent)
    work_through(runs, sweep_config.keep, say=say, until=has_lost_parent)
    if config.finish:
        write_page(config.run)


def write_page(path: str) -> Swept:
    """Write the table, the page and the tables of the runs that are finished so far.

    Raises:
        BadRequest: none is finished; the message says why the first one failed, where one did.
    """
    config, runs = read_planned(path)
    output = Path(config.output)
    failures = {run.name: reason for run in runs if (reason := failure(run)) is not None}
    table_path = output / "sweep.parquet"
    write_table(table_path, runs)
    findings = sweep_findings(
        read_table(table_path),
        output.name,
        planned=len(runs),
        failures=failures,
        command=f"overmem sweep {shlex.quote(path)}",
        sweep_file=Path(path).read_text(encoding="utf-8"),
    )
    if not findings.runs:
        why = "".join(f"; {name} failed: {reason}" for name, reason in list(failures.items())[:1])
        raise BadRequest(f"no run of {path} is finished{why}")
    page = output / "sweep.html"
    store.write_text(page, page_of(findings))
    for name, make in TABLES.items():
        table = make(findings)
        store.write_text(output / "tables" / f"{name}.csv", table.csv())
        store.write_text(output / "tables" / f"{name}.tex", table.latex())
    return Swept(output, page, table_path, runs, failures)


def page_of(findings: SweepFindings) -> str:
    """The sweep as one self-contained HTML page."""
    sections = {name: section(findings) for name, section in SECTIONS.items()}
    return document(findings.name, headline(findings), sections)
