"""How this was made: options, data, versions, and the commands to reproduce it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import overmem
from overmem.records import REGIMES
from overmem.report.findings import Findings
from overmem.report.markup import Section, render


def making(findings: Findings) -> Section:
    """Recipe, plan and options as tables that are folded at first."""
    body = render(
        "making.html.j2",
        commands=findings.commands,
        regimes=REGIMES.values(),
        version=overmem.__version__,
        tables={
            "Options of the verdict (verdict.json)": list(flat(findings.verdict.knobs)),
            "What was audited (plan.json)": list(flat(findings.plan)),
            "What was trained (recipe.yaml)": list(flat(findings.recipe)),
        },
        missing={
            "What was audited (plan.json)": "The run was not audited, only its logs were read.",
            "What was trained (recipe.yaml)": "The run was not trained by overmem; see the trainer's own files.",
            "Options of the verdict (verdict.json)": "The verdict names no options.",
        },
    )
    return Section("How this was made", body)


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested mappings as rows of a dotted name and the value as JSON; a long list is cut, with its length."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{prefix}{key}.")
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, default=str)
            yield f"{prefix}{key}", text if len(text) <= 400 else f"{text[:400]}… ({len(text):,} characters)"
