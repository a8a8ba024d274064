"""`overmem report RUN`: the verdict as one page that opens anywhere, without a network."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """Draw the verdict of a run as one self-contained HTML page."""

    run: str
    """Run directory that was diagnosed."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""


def report(config: Report) -> Path:
    """The page that was written.

    Raises:
        BadRequest: no such run, or it has no verdict yet.
    """
    from overmem import store  # polars and the charts load when a page is asked for, not when the command is known
    from overmem.report.findings import read_findings
    from overmem.report.page import page

    run = store.open_run(config.run, config.out)
    store.write_text(run.report_path, page(read_findings(run)))
    return run.report_path
