"""Every chart of the report as files for a paper: SVG and PDF with text as text, CSV, and LaTeX around them."""

import csv
import html
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem import explorer, store
from overmem.errors import BadRequest
from overmem.report.charts import ON_PAPER, THEME, WIDTH
from overmem.report.findings import Findings
from overmem.report.latex import FLOATS, caption, tables
from overmem.report.sections import SECTIONS
from overmem.report.vega import Spec

VEGA_LITE = "v6.1"
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")
_PLACE = re.compile(r'data-chart="([^"]*)"[^>]*aria-label="([^"]*)"')


def write_figures(findings: Findings, folder: Path) -> list[Path]:
    """Every chart as SVG, PDF and CSV, the tables as LaTeX, and `figures.tex`, which includes them all.

    Raises:
        BadRequest: the extra `figures` is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise BadRequest("--figures needs vl-convert; install it with: pip install 'overmem[figures]'") from None
    written, included = [], []
    for name, spec, description in charts_of(findings):
        drawn = json.dumps(for_paper(spec))
        files = {
            f"{name}.svg": vl_convert.vegalite_to_svg(drawn, vl_version=VEGA_LITE).encode(),
            f"{name}.pdf": vl_convert.vegalite_to_pdf(drawn, vl_version=VEGA_LITE),
            f"{name}.csv": csv_of(spec).encode(),
        }
        included.append(caption(name, description))
        included += [r"\clearpage"] if len(included) % (FLOATS + 1) == FLOATS else []
        written += [_write(folder / file, content) for file, content in files.items()]
    for name, text in tables(findings).items():
        written.append(_write(folder / f"{name}.tex", text.encode()))
        included.append(f"\\input{{{name}}}")
    written.append(_write(folder / "figures.tex", ("\n".join(included) + "\n").encode()))
    return written


def charts_of(findings: Findings) -> list[tuple[str, Mapping[str, Any], str]]:
    """File name, specification and description of every chart of the report, in its order."""
    charts: list[tuple[str, Mapping[str, Any], str]] = []
    for section_name, make in SECTIONS.items():
        section = make(findings)
        described = {key: html.unescape(text) for key, text in _PLACE.findall(str(section.body))}
        for key, spec in section.charts.items():
            description = described.get(key, "")
            name = _slug(description.partition(" along the run")[0]) if key.isdecimal() else key
            file = f"{section_name}-{name or key}"
            again = sum(other == file or other.startswith(f"{file}--") for other, _, _ in charts)
            charts.append((f"{file}--{again + 1}" if again else file, spec, description))
    return charts


def for_paper(spec: Mapping[str, Any]) -> Spec:
    """A chart with its theme for white paper: no variables, a legend, a fixed width."""
    colours = explorer.light_colours()
    text = json.dumps({**spec, "width": WIDTH, "config": {**THEME, **ON_PAPER}})
    resolved: Spec = json.loads(_VARIABLE.sub(lambda match: colours[match[1]], text))
    return resolved


def csv_of(spec: Mapping[str, Any]) -> str:
    """The numbers of a chart as CSV, a row per point."""
    rows = [row for name in spec["usermeta"]["rows"] for row in spec["datasets"][name]]
    columns = [c for c in dict.fromkeys(key for row in rows for key in row) if c != "text"]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _harmless(value: object) -> object:
    """Text that a spreadsheet would run as a formula, as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with store.replacing(path) as partial:
        partial.write_bytes(content)
    return path
