"""`overmem audit RUN`: observe and measure, then judge and write the report; `--dry-run` estimates what it costs."""

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from overmem.audit.options import Audit
from overmem.cli import Arguments, parsed
from overmem.cli.screen import bar, print_json, quiet_libraries, say
from overmem.cli.verdict_screen import show_verdict
from overmem.cli.workers_screen import workers_screen
from overmem.diagnose.options import Diagnose
from overmem.report import Report, report
from overmem.tables import NamedIn


@dataclass(frozen=True)
class AuditCommand(Audit):
    """What to audit, and what to do with it."""

    run: Annotated[str, tyro.conf.Suppress] = ""
    runs: tuple[str, ...] = ()
    """Run directory: checkpoint-<step> folders as transformers, TRL or overmem write them; or checkpoint folders one by
    one, in their order; or hub ids, org/model or org/model@revision."""
    revisions: tuple[str, ...] = ()
    """Of a hub id: its checkpoints are these branches or tags ('step*'), or `commits`, those whose message names a
    step."""
    dry_run: bool = False
    """Estimate how many tokens would be scored and generated, how long that takes on this machine, how much memory it
    needs and how precise the numbers would be. Observes and writes nothing."""
    track: Annotated[tuple[str, ...], NamedIn("overmem.tracking:TRACKERS")] = ()
    """Trackers that get the verdict, the curves and the examples that changed."""
    json: bool = False
    """Print the measurements (or the estimate) as JSON. No verdict and no report."""


COMMAND = AuditCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Audit; unless --json, judge and report too. Returns 1 where a checkpoint or a tracker failed."""
    config = parsed(AuditCommand, arguments, "audit")
    from overmem.audit.gather import gathered

    config = replace(config, run=gathered(config.runs, config.revisions, say))
    from overmem.audit import audit, estimate_audit  # imports torch, so after the options were checked
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
    say(f"{done.computed} units of work done now, {done.already_done} before; {len(done.measurements)} measurements")
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
    """Print what sbatch would be given, without loading a model: this may be a login node."""
    from overmem import store
    from overmem.audit.executors import sbatch_script
    from overmem.audit.launch import check_launch, launch_of

    check_launch(config.workers, config.executor)
    sys.stdout.write(sbatch_script(launch_of(config, store.open_run(config.run, config.out))))
    return 0
