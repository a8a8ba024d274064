"""The page: sections in order, the chart library inlined once, and a policy that lets nothing else run or load."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

import overmem
from overmem import explorer
from overmem.report.charts import ON_PAPER, THEME, WIDTH
from overmem.report.findings import Findings
from overmem.report.glossary import GLOSSARY
from overmem.report.markup import Section, file_text, render, script_json
from overmem.report.sections import SECTIONS

SAVING = {"width": WIDTH, "config": dict(ON_PAPER), "colours": explorer.light_colours()}
"""How a chart is drawn that is saved from the page."""


def page(
    findings: Findings, table: Mapping[str, Callable[[Findings], Section]] = SECTIONS, *, examples: str = ""
) -> str:
    """One HTML document that needs nothing but itself. The same findings give the same text.

    Args:
        findings: what it shows.
        table: its sections.
        examples: what `explorer.embedded` made, for the section of examples.
    """
    sections = {name: section(findings) for name, section in table.items()}
    return document(findings.name, findings.verdict.headline, sections, examples if findings.observed > 0 else None)


def document(name: str, headline: str, sections: Mapping[str, Section], examples: str | None = None) -> str:
    """A page of sections, with the charts drawn by the library that it carries.

    Args:
        name: of the run, or of what else it is about.
        headline: its title.
        sections: by name; empty ones are listed at the end.
        examples: of the section of that name, with the script that shows them; None: there are none.
    """
    charts = {f"{key}-{chart}": spec for key, s in sections.items() for chart, spec in s.charts.items()}
    shown = {key: section for key, section in sections.items() if not section.is_empty}
    has_examples = examples is not None and "examples" in shown
    scripts = [bundle(), explorer.script(), "".join(map(file_text, ("saving.js", "reading.js", "page.js")))]
    return render(
        "page.html.j2",
        name=name,
        headline=headline,
        sections=shown,
        not_measured=[section for section in sections.values() if section.is_empty],
        style=explorer.theme() + file_text("style.css") + (explorer.style() if has_examples else ""),
        examples=examples or "",
        charts=script_json({"config": THEME, "charts": charts, "glossary": GLOSSARY, "name": name, "saving": SAVING}),
        scripts=scripts,
        hashes=[_digest(text) for text in scripts],
        version=overmem.__version__,
    )


@cache
def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that is safe inside a script tag."""
    script = (resources.files("overmem") / "assets" / "vega" / "vega-embed.js").read_text(encoding="utf-8")
    return re.sub(r"<(?=/script|script|!--)", r"\\x3C", script, flags=re.IGNORECASE)


def _digest(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
