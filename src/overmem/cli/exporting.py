"""`overmem export RUN`: a run's completions as logs that Inspect View opens."""

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import say, stdout
from overmem.evaluations.options import ExportLogs

COMMAND = ExportLogs
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Write the logs and print their paths."""
    config = parse_options(ExportLogs, arguments, "export")
    from overmem.evaluations.export import export_logs

    for path in export_logs(config):
        stdout.print(str(path), soft_wrap=True, markup=False, highlight=False)
    say(f"next: inspect view --log-dir {config.output}")
    return 0
