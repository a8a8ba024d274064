"""`overmem report RUN`."""

from overmem.cli import Arguments, parsed
from overmem.cli.screen import stdout
from overmem.report import Report, report


def run(arguments: Arguments) -> int:
    """Draw the page and print its path."""
    stdout.print(str(report(parsed(Report, arguments, "report", "run"))), soft_wrap=True, markup=False, highlight=False)
    return 0
