"""Charts and tables as files for a paper."""

import csv
import dataclasses
import io
import re
import shutil
import subprocess
import sys

import pytest

from overmem.errors import BadRequest
from overmem.report.export import charts_of, csv_of, for_paper, write_figures
from overmem.report.latex import escaped, tables

HOSTILE = "=1+1}\\input{/etc/passwd}%&_<script>"


def test_every_chart_is_a_file_of_each_kind_with_its_text_as_text(findings, tmp_path):
    pytest.importorskip("vl_convert", reason="the extra figures is not installed")
    few = dataclasses.replace(findings, measurements=findings.measurements[:30])
    written = write_figures(few, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    names = [name for name, _, _ in charts_of(few)]
    assert len(names) == len(set(names)) >= 4
    for name in names:
        svg = (tmp_path / f"{name}.svg").read_text()
        assert "<text" in svg
        assert "var(--" not in svg
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    tex = (tmp_path / "figures.tex").read_text()
    assert all(f"{{{name}.pdf}}" in tex for name in names)
    assert r"\input{checkpoints}" in tex


def test_a_missing_extra_is_reported_in_one_line(findings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(BadRequest, match=r"overmem\[figures\]") as refusal:
        write_figures(findings, tmp_path)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_the_numbers_of_a_chart_are_those_of_the_checkpoints(findings):
    spec = {name: spec for name, spec, _ in charts_of(findings)}["trajectory-accuracy"]
    rows = [
        r for r in csv.DictReader(io.StringIO(csv_of(spec))) if r["split"] == "val" and "merged" not in r["checkpoint"]
    ]
    assert [(r["checkpoint"], float(r["value"]), float(r["low"]), int(r["n"])) for r in rows] == [
        (c.checkpoint.name, c.accuracy.value, c.accuracy.low, c.accuracy.n) for c in findings.trained
    ]
    tests = [r for r in csv.DictReader(io.StringIO(csv_of(spec))) if r["split"] == "test"]
    assert len(tests) == len(rows)


def test_every_chart_has_numbers_to_save(findings):
    for name, spec, description in charts_of(findings):
        assert csv_of(spec).count("\n") > 1, name
        assert description, name


def test_a_chart_for_paper_has_a_legend_and_no_variable(findings):
    for _, spec, _ in charts_of(findings):
        drawn = for_paper(spec)
        assert "var(--" not in str(drawn)
        assert not drawn["config"]["legend"]["disable"]


def test_text_of_a_run_is_escaped_for_latex(findings):
    verdict = dataclasses.replace(
        findings.verdict, costs=tuple(dataclasses.replace(c, name=HOSTILE) for c in findings.verdict.costs)
    )
    table = tables(dataclasses.replace(findings, name=HOSTILE, verdict=verdict))["consequences"]
    assert r"\input" not in table
    assert escaped(HOSTILE) in table
    assert not re.search(r"(?<!\\)[%&_](?![^\\]*\\\\)", escaped(HOSTILE))


def test_a_text_that_a_spreadsheet_would_run_as_a_formula_is_quoted():
    spec = {"usermeta": {"rows": ["a"]}, "datasets": {"a": [{"name": "=1+1", "value": -2.5, "n": 3}]}}
    assert csv_of(spec) == "name,value,n\n'=1+1,-2.5,3\n"


def test_no_two_charts_have_one_name(findings):
    charts = charts_of(findings)
    twice = dataclasses.replace(
        findings, measurements=(*findings.measurements, *map(_elsewhere, findings.measurements))
    )
    for found in (charts, charts_of(twice)):
        names = [name for name, _, _ in found]
        assert len(set(names)) == len(names)


def _elsewhere(measurement):
    """The same number by a probe of another name."""
    return dataclasses.replace(measurement, probe=f"own-{measurement.probe}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_sets_the_tables_and_figures_without_an_error_and_within_the_line(findings, tmp_path):
    write_figures(findings, tmp_path)
    page = r"""\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}
\begin{document}\input{figures}\end{document}"""
    (tmp_path / "page.tex").write_text(page)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"], cwd=tmp_path, capture_output=True
    )
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log
    assert "multiply defined" not in log
