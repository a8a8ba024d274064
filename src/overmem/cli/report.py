"""`overmem report RUN`."""

from overmem.cli import Arguments, parsed
from overmem.cli.screen import stdout
from overmem.report import Report, report

COMMAND = Report
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Draw the page and print its path."""
    stdout.print(str(report(parsed(Report, arguments, "report"))), soft_wrap=True, markup=False, highlight=False)
    return 0
