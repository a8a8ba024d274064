"""`overmem report RUN`."""

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import stdout
from overmem.report import Report, report

COMMAND = Report
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Write the report and print its path."""
    stdout.print(str(report(parse_options(Report, arguments, "report"))), soft_wrap=True, markup=False, highlight=False)
    return 0
