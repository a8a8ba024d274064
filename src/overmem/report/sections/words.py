"""The verdict in sentences, in the order of a decision."""

from overmem.report.findings import Findings
from overmem.report.markup import Section, nothing, render_inline

TITLE = "In words"
TEMPLATE = """
<div class="words">
{% for sentence in sentences %}
<p>{{ prose(sentence) }}</p>
{% endfor %}
</div>
"""


def words(findings: Findings) -> Section:
    """Every sentence of the verdict."""
    if not findings.verdict.sentences:
        return nothing(TITLE, "The verdict has no sentences.")
    return Section(TITLE, render_inline(TEMPLATE, sentences=findings.verdict.sentences))
