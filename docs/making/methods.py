"""The methods page: every family's table, with knobs, summaries and sources from the docstrings.

python -m docs.making.methods docs/methods.md
"""

import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overmem.grading import GRADERS
from overmem.losses import LOSSES
from overmem.observe.engines import ENGINES
from overmem.probes import PROBES
from overmem.report.sections import SECTIONS
from overmem.rules import RULES
from overmem.shifts import SHIFTS
from overmem.store import write_text
from overmem.tables import first_line, knobs
from overmem.tuning import TUNING

FAMILIES: dict[str, Mapping[str, Any]] = {
    "Token losses": LOSSES,
    "Fine-tuning methods": TUNING,
    "Probes": {name: probe.measure for name, probe in PROBES.items()},
    "Merge rules": RULES,
    "Shifts": SHIFTS,
    "Engines": ENGINES,
    "Graders": {kind: grader.grade for kind, grader in GRADERS.items()},
    "Sections of the report": SECTIONS,
}


def methods_page(families: Mapping[str, Mapping[str, Any]] = FAMILIES) -> str:
    """The page as Markdown."""
    parts = ["# Methods\n\nMade by `make docs` from the docstrings; change it there.\n"]
    for title, table in families.items():
        parts.append(f"\n## {title}\n\n| name | what | knobs | source |\n|---|---|---|---|\n")
        for name, function in table.items():
            knob_texts = ", ".join(f"`{k}={v!r}`" for k, v in _knobs(function).items() if k not in ("base", "minimum"))
            row = [f"`{name}`", first_line(function), knob_texts, _source(inspect.getdoc(function) or "")]
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n")
    return "".join(parts)


def _knobs(function: Any) -> dict[str, object]:
    return {} if inspect.isclass(function) else dict(knobs(function))


def _source(docstring: str) -> str:
    match = re.search(r"^Source: (.+?)(?:\n\n|\n[A-Z]|\Z)", docstring, re.S | re.M)
    return " ".join(match[1].split()) if match else ""


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), methods_page())
