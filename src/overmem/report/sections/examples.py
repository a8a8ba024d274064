"""Every observed example, to be filtered, compared and read: the explorer."""

from markupsafe import Markup

from overmem.report.findings import Findings
from overmem.report.markup import Section, nothing

TITLE = "Examples"
WITHOUT_SCRIPTS = '<noscript><p class="none">Reading examples needs JavaScript.</p></noscript>'
PLACE = Markup(f'<div class="explorer" id="explorer">{WITHOUT_SCRIPTS}</div>')
"""Where the script of the explorer shows what is embedded in the page."""


def examples(findings: Findings) -> Section:
    """The place of the explorer; its script fills it from what is embedded in the page."""
    if not findings.observed:
        return nothing(TITLE, "No observations were kept, so no example can be shown.")
    lead = "What the model was asked, what it wrote at each checkpoint, and how surprising the reference was to it."
    return Section(TITLE, PLACE, lead=lead)
