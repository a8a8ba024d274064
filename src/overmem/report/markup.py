"""A section of the page, and the one way from values to HTML: templates that escape every value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from overmem.errors import visible_text
from overmem.report.glossary import gloss
from overmem.report.numbers import estimate_html


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    body: Markup
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name -> Vega-Lite specification; the body calls `chart(name, description)` where it is to be drawn."""
    lead: str = ""
    """One sentence below the title."""
    is_empty: bool = False
    """Whether there is nothing to show but the reason: then the page lists title and body under "Not measured"."""


def nothing(title: str, reason: str) -> Section:
    """A section without content, and why."""
    return Section(title, Markup('<p class="none">{}</p>').format(reason), is_empty=True)


def chart(name: str, description: str) -> Markup:
    """The element of a chart, with a description for screen readers."""
    return Markup('<div class="chart" data-chart="{}" role="img" aria-label="{}"></div>').format(name, description)


def visible(value: Any) -> Any:
    """A value of a template; of text, with the hidden and direction-changing characters by their code points.

    >>> visible("a\u202eb")
    'aU+202Eb'
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return visible_text(value)


def prose(text: str) -> Markup:
    """A sentence, escaped, with what is between backticks as code.

    >>> prose("run `overmem audit <b>` first")
    Markup('run <code>overmem audit &lt;b&gt;</code> first')
    """
    parts = visible_text(text).split("`")
    if len(parts) % 2 == 0:  # a lone backtick
        return escape(visible_text(text))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if i % 2 else escape(part) for i, part in enumerate(parts))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overmem.report"),
        finalize=visible,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"estimate": estimate_html, "chart": chart, "gloss": gloss, "prose": prose}
    return environment


def render(template: str, **values: Any) -> Markup:
    """A template of the package filled with `values`; text is escaped, Markup is not."""
    return Markup(_environment().get_template(template).render(**values))


def render_inline(template: str, **values: Any) -> Markup:
    """Like `render`, for a template string in a section's file."""
    return Markup(_environment().from_string(template).render(**values))


def file_text(name: str) -> str:
    """The text of a file next to the templates."""
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def script_json(value: object) -> Markup:
    """JSON that is safe inside a script tag: no `<` in it, so nothing in the data can end the script."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
