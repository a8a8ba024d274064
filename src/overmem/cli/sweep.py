"""`overmem sweep SWEEP.yaml`: many runs that differ in a few keys, over seeds, judged together."""

import sys
from dataclasses import dataclass

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, print_json, print_text, quiet_libraries, say, stdout


@dataclass(frozen=True)
class SweepCommand:
    """Train, audit and judge every run of a sweep file; the same command resumes an interrupted sweep."""

    sweep: str
    """YAML file: output, recipe, vary, seeds, audit, keep."""
    dry_run: bool = False
    """List the runs, and estimate hours and disk space from a few measured steps. Writes nothing."""
    workers: int = 1
    """Runs at a time: each on its own GPU, or with its share of the CPU cores."""
    executor: str = "local"
    """Where the workers run: local (processes on this machine), ray (actors of a Ray cluster, started if there is
    none), slurm (one array of jobs), or "module:function"."""
    slurm: tuple[str, ...] = ()
    """Options of sbatch: partition=gpu gres=gpu:1 time=8:00:00 ..."""
    draw: bool = False
    """Only write the page of the finished runs."""
    json: bool = False
    """Print the estimate, or the paths of the results, as JSON."""


COMMAND = SweepCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Run the sweep. Returns 1 if a run could not be finished."""
    config = parse_options(SweepCommand, arguments, "sweep")
    from overmem.audit.executors import sbatch_script
    from overmem.sweep.conditions import read_planned  # torch loads after the options have been checked
    from overmem.sweep.estimate import estimate_sweep
    from overmem.sweep.verb import sweep, write_page
    from overmem.sweep.worker import SweepLaunch

    quiet_libraries()
    if config.dry_run and config.executor == "slurm":
        sweep_, _ = read_planned(config.sweep)
        launch = SweepLaunch(path=config.sweep, output=sweep_.output, workers=config.workers, slurm=config.slurm)
        sys.stdout.write(sbatch_script(launch))
        return 0
    if config.dry_run:
        sweep_, runs = read_planned(config.sweep)
        estimate = estimate_sweep(runs, sweep_.keep)
        print_json(estimate) if config.json else _show(estimate, [run.name for run in runs])
        return 0
    if config.draw:
        done = write_page(config.sweep)
    else:
        with bar() as progress:
            done = sweep(
                config.sweep,
                workers=config.workers,
                executor=config.executor,
                slurm=config.slurm,
                say=say,
                progress=progress,
            )
    for name, reason in done.failures.items():
        say(f"{name} could not be finished: {reason}")
    if config.json:
        print_json({"page": done.page, "table": done.table, "failures": done.failures})
    else:
        say(f"page: {done.page}; every row: {done.table}")
    return int(bool(done.failures))


def _show(estimate: object, names: list[str]) -> None:
    """Print the runs, then hours and disk."""
    from overmem.observe.throughput import format_duration
    from overmem.sweep.estimate import SweepEstimate

    assert isinstance(estimate, SweepEstimate)
    for name in names:
        stdout.print(f"  {name}", highlight=False, markup=False)
    left = estimate.runs - estimate.already_done
    total = format_duration(estimate.training_seconds + estimate.audit_seconds)
    print_text(
        stdout,
        f"{estimate.runs} runs, {estimate.already_done} of them done. The other {left} take about [bold]{total}[/] on "
        f"this machine, one after the other: {format_duration(estimate.training_seconds)} of training and "
        f"{format_duration(estimate.audit_seconds)} of auditing. Weights take {estimate.disk_bytes / 2**30:.2f} GiB, "
        f"{estimate.peak_disk_bytes / 2**30:.2f} GiB at the peak.",
    )
    print_text(
        stdout,
        f"[dim]From a few steps of {estimate.measured_on or 'nothing'}, scaled by the steps of the others. "
        "Nothing was written.[/]",
    )
