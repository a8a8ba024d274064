"""`overmem worker RUN`: process units of a run's queue, alongside other workers."""

import os
import sys
from pathlib import Path

from overmem.audit.worker_options import Worker
from overmem.cli import Arguments, parse_options
from overmem.cli.screen import quiet_libraries, say

COMMAND = Worker
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Process units until all are done."""
    config = parse_options(Worker, arguments, "worker")
    if Path(config.run).suffix in (".yaml", ".yml"):
        return _on_sweep(config)
    from overmem.audit.worker import ends_on_sigterm, work  # torch loads after the options have been checked

    quiet_libraries()
    with ends_on_sigterm():
        if not config.waits or _may_begin():
            work(config, say=say)
    return 0


def _may_begin() -> bool:
    """Wait for a line that names the log, and write to that from now on; False if the process that started it ended."""
    path = sys.stdin.readline().rstrip("\n")
    if not path:
        return False
    with Path(path).open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    return True


def _on_sweep(config: Worker) -> int:
    """Process runs of a sweep until all are done."""
    if config.device.startswith("cuda:"):  # the trainer uses every GPU that it sees
        os.environ["CUDA_VISIBLE_DEVICES"] = config.device.removeprefix("cuda:")
    from overmem.audit.worker import ends_on_sigterm
    from overmem.sweep.verb import work_on

    quiet_libraries()
    with ends_on_sigterm():
        work_on(config, say=say)
    return 0
