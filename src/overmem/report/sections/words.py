"""The verdict in sentences, in the order in which one decides."""

from overmem.report.findings import Findings
from overmem.report.markup import Section, render


def words(findings: Findings) -> Section:
    """Every sentence of the verdict."""
    return Section("The verdict in words", render("words.html.j2", sentences=findings.verdict.sentences))
