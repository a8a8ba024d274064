"""`overmem report RUN`: the verdict as one page that opens anywhere, without a network."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """Draw the verdict of a run as one self-contained HTML page."""

    run: str
    """Run directory that was diagnosed."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""
    megabytes: float = 8.0
    """Largest size of the page: it contains as many examples as fit, the most relevant first."""
    figures: str | None = None
    """Folder to write every chart to as SVG, PDF and CSV, and the tables as LaTeX; needs overmem[figures]."""


def report(config: Report) -> Path:
    """Write the page; returns its path.

    Raises:
        BadRequest: no such run, or it has no verdict yet.
    """
    from overmem import store  # imported here, so that `overmem --help` does not load polars and the charts
    from overmem.explorer import compared, embedded, read_details, read_example_table, regimes_of
    from overmem.report.findings import read_findings
    from overmem.report.page import page

    run = store.open_run(config.run, config.out)
    findings = read_findings(run)
    table = read_example_table(run) if run.plan_path.is_file() else None
    if table is None or not table.total:
        text = page(findings)
    else:
        findings = replace(findings, observed=table.total)
        bytes_left = int(1e6 * config.megabytes) - len(page(findings).encode())
        names = compared(findings.verdict, table.checkpoints)
        details = partial(read_details, run, draws_at=names)
        examples = embedded(table, bytes_left, names=names, regimes=regimes_of(findings.verdict), details=details)
        text = page(findings if examples else replace(findings, observed=0), examples=examples)
    store.write_text(run.report_path, text)
    if config.figures is not None:
        from overmem.report.export import write_figures

        write_figures(findings, Path(config.figures))
    return run.report_path
