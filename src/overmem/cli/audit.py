"""`overmem audit RUN`: observe and measure, then judge and write the report; `--dry-run` estimates time and memory."""

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from overmem.audit.options import Audit
from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, print_json, quiet_libraries, say
from overmem.cli.verdict_screen import show_verdict
from overmem.cli.workers_screen import workers_screen
from overmem.diagnose.options import Diagnose
from overmem.report import Report, report
from overmem.tables import NamedIn


@dataclass(frozen=True)
class AuditCommand(Audit):
    """What to audit, and what to print."""

    run: Annotated[str, tyro.conf.Suppress] = ""
    runs: tuple[str, ...] = ()
    """Run directory with checkpoint-<step> folders, as transformers, TRL or overmem write them; or several checkpoint
    folders in order; or hub ids, org/model or org/model@revision."""
    revisions: tuple[str, ...] = ()
    """For a hub id: the branches or tags that are its checkpoints ('step*'), or `commits` for commits whose message
    names a step."""
    dry_run: bool = False
    """Estimate the tokens to score and generate, the time on this machine, the memory, and the precision of the
    results. Observes and writes nothing."""
    track: Annotated[tuple[str, ...], NamedIn("overmem.tracking:TRACKERS")] = ()
    """Trackers that get the verdict, the curves and the examples that changed."""
    json: bool = False
    """Print the measurements (or the estimate) as JSON. No verdict and no report."""


COMMAND = AuditCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Audit; without --json also judge and write the report. Returns 1 if a checkpoint or a tracker failed."""
    config = parse_options(AuditCommand, arguments, "audit")
    from overmem.audit.gather import gathered

    config = replace(config, run=gathered(config.runs, config.revisions, say))
    from overmem.audit import audit, estimate_audit  # torch loads after the options have been checked
    from overmem.audit.worker import ends_on_sigterm
    from overmem.cli.cost import show_cost
    from overmem.diagnose import diagnose
    from overmem.store import write_verdict
    from overmem.tracking import check_trackers, track, tracked_run

    quiet_libraries()
    check_trackers(config.track)
    if config.dry_run and config.executor == "slurm":
        return _print_script(config)
    if config.dry_run:
        estimate = estimate_audit(config, say=say)
        print_json(estimate) if config.json else show_cost(estimate)
        return int(bool(estimate.failures))
    with ends_on_sigterm(), bar() as progress, workers_screen() as show:
        done = audit(config, say=say, progress=progress, show=show)
    say(
        f"{done.computed} units of work done, {done.already_done} skipped because already done; "
        f"{len(done.measurements)} measurements"
    )
    if config.json:
        print_json(done.measurements)
        failed: tuple[str, ...] = ()
    else:
        verdict = diagnose(Diagnose(config.run, out=config.out))
        write_verdict(done.run, verdict)
        show_verdict(done.run, verdict)
        say(f"report: {report(Report(config.run, out=config.out))}")
        failed = track(tracked_run(done.run, verdict), config.track, say) if config.track else ()
    if done.failures:
        say(f"{len(done.failures)} of the checkpoints could not be observed: {', '.join(done.failures)}")
    return int(bool(done.failures or failed))


def _print_script(config: AuditCommand) -> int:
    """Print the script for sbatch, without loading a model, because this may be a login node."""
    from overmem import store
    from overmem.audit.executors import sbatch_script
    from overmem.audit.launch import check_launch, launch_of

    check_launch(config.workers, config.executor)
    sys.stdout.write(sbatch_script(launch_of(config, store.open_run(config.run, config.out))))
    return 0
