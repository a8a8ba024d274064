"""The tables of the report as LaTeX (booktabs), and the figures around its charts."""

from collections.abc import Sequence

from overmem.records import Estimate
from overmem.report.findings import Findings
from overmem.report.numbers import interval_text, perplexity_of, value_text
from overmem.report.sections.answer import RULES
from overmem.statistics import negated

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "−": "$-$",
    "–": "--", "—": "---", "·": r"$\cdot$",
}  # fmt: skip


_WIDTH = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
"""A table keeps its width where it fits the line, and takes the line's where it does not."""
FLOATS = 12
"""LaTeX holds 18 figures at most that it has not placed yet; so many are placed at once."""


def escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(_ESCAPES.get(c, c) for c in text if c.isprintable())


def caption(name: str, description: str) -> str:
    """A figure that includes one chart."""
    lines = [r"\begin{figure}", r"\centering", rf"\includegraphics[width=\linewidth]{{{name}.pdf}}"]
    return "\n".join([*lines, rf"\caption{{{escaped(description)}}}", rf"\label{{fig:{name}}}", r"\end{figure}"])


def tables(findings: Findings) -> dict[str, str]:
    """Name -> table; those without a row are left out."""
    by_name = {"checkpoints": _checkpoints(findings), "choices": _choices(findings), "consequences": _costs(findings)}
    return {name: table for name, table in by_name.items() if table}


def _checkpoints(findings: Findings) -> str:
    rows = [
        [
            c.checkpoint.name,
            f"{c.checkpoint.step:,}",
            c.regime,
            *_cells(c.accuracy, "percent"),
            *_cells(perplexity_of(c.nll), "perplexity"),
            f"{c.accuracy.n or c.nll.n:,}",
        ]
        for c in findings.trained
    ]
    head = ["checkpoint", "step", "regime", "accuracy", "95% interval", "perplexity", "95% interval", "n"]
    return _table(head, "lrlrrrrr", rows, f"Every checkpoint of {findings.name}, on {findings.chosen_on} examples.")


def _choices(findings: Findings) -> str:
    verdict = findings.verdict
    best = verdict.recommended or verdict.best
    rows = [
        [
            RULES.get(c.rule, c.rule),
            c.checkpoint or "none",
            *_cells(c.accuracy, "percent"),
            *_cells(negated(c.regret), "points"),
            f"{c.accuracy.n:,}",
        ]
        for c in ((best,) if best else ()) + verdict.choices
    ]
    head = ["rule", "checkpoint", "accuracy", "95% interval", "change", "95% interval", "n"]
    return _table(head, "llrrrrr", rows, f"What each selection rule picks, on {findings.confirmed_on} examples.")


def _costs(findings: Findings) -> str:
    rows = [
        [
            c.name,
            c.checkpoint,
            *_cells(c.difference, "points" if c.is_share else "number"),
            c.state,
            f"{c.difference.n:,}",
        ]
        for c in (*findings.verdict.costs, *findings.verdict.privacy)
    ]
    head = ["consequence", "checkpoint", "difference", "95% interval", "state", "n"]
    return _table(head, "llrrlr", rows, "Consequences against the recommended checkpoint, Holm-corrected.")


def _cells(estimate: Estimate, unit: str) -> list[str]:
    return [value_text(estimate, unit), interval_text(estimate, unit) or "—"]


def _table(head: Sequence[str], columns: str, rows: Sequence[Sequence[str]], title: str) -> str:
    if not rows:
        return ""
    before = [r"\begin{table}", r"\centering", rf"\caption{{{escaped(title)}}}", r"\resizebox{" + _WIDTH + "}{!}{%"]
    return "\n".join([*before, f"{tabular(head, columns, rows)}}}", r"\end{table}", ""])


def tabular(head: Sequence[str], columns: str, rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under headings, escaped; `columns` is how each is aligned: l, r."""
    lines = [" & ".join(map(escaped, row)) + r" \\" for row in (head, *rows)]
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])
