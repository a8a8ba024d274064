"""`overmem watch RUN`: judge checkpoints while another process trains."""

from overmem.audit.watch_options import Watch
from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, quiet_libraries, say
from overmem.cli.verdict_screen import show_verdict
from overmem.cli.workers_screen import workers_screen

COMMAND = Watch
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Watch until the training ends. Returns 1 if a checkpoint could not be observed."""
    config = parse_options(Watch, arguments, "watch")
    from overmem import store  # torch loads after the options have been checked
    from overmem.audit.watch import watch
    from overmem.audit.worker import ends_on_sigterm

    quiet_libraries()
    with ends_on_sigterm(), bar() as progress, workers_screen() as show:
        done = watch(config, say=say, judged=lambda verdict: say(verdict.headline), progress=progress, show=show)
    show_verdict(done.run, store.read_verdict(done.run))
    return int(bool(done.failures))
