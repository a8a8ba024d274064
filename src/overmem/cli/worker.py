"""`overmem worker RUN`: do units of a run's queue, beside other workers."""

from overmem.audit.worker_options import Worker
from overmem.cli import Arguments, parsed
from overmem.cli.screen import quiet_libraries, say

COMMAND = Worker
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Work until all units are done."""
    config = parsed(Worker, arguments, "worker")
    from overmem.audit.worker import ends_on_sigterm, work  # imports torch, so after the options were checked

    quiet_libraries()
    with ends_on_sigterm():
        work(config, say=say)
    return 0
