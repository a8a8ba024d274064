"""A probe with its consequence and its sentence is one file: of the table, or of somebody else's package."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from docs.making.methods import methods_page
from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.probes import PROBES, with_own
from overmem.probes.measure import measured
from overmem.report import Report, report

ROOT = Path(__file__).parents[2]
NAME = "measuring.lengths:probe"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The probe of docs/adding.md, installed somewhere else."""
    page = (ROOT / "docs" / "adding.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.+?)```", page, re.S) if "Comparison" in block)
    (tmp_path / "measuring").mkdir()
    (tmp_path / "measuring" / "lengths.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("measuring", "measuring.lengths"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("package")
def test_a_probe_of_another_package_is_measured_compared_put_into_words_and_drawn(tmp_path):
    shutil.copytree(ROOT / "tests" / "golden" / "run", tmp_path / "run")
    run = store.open_run(str(tmp_path / "run"))
    plan = json.loads(run.plan_path.read_text())
    plan["audit"]["probes"] = [NAME]  # as `overmem audit --probes` keeps it
    run.plan_path.write_text(json.dumps(plan))
    only = {NAME: with_own([NAME])[NAME]}
    rows = [*measured(store.read_checkpoints(run), lambda c: store.read_snapshot(run, c), only)]
    assert {m.metric for m in rows if m.probe == "length"} == {"characters"}
    store.write_measurements(run, rows)
    verdict = diagnose(Diagnose(str(run.root), margin=0.1))
    (cost,) = [c for c in verdict.costs if c.name == "length"]
    assert any("characters longer" in s or "length, " in s for s in verdict.sentences)
    assert cost.p is not None
    store.write_verdict(run, verdict)
    assert "characters" in report(Report(str(run.root))).read_text()


@pytest.mark.usefixtures("package")
def test_a_probe_of_the_table_is_a_row_of_the_methods_page():
    table = {name: probe.measure for name, probe in {**PROBES, "length": with_own([NAME])[NAME]}.items()}
    assert "| `length` | Characters of the greedy completions of test. |" in methods_page({"Probes": table})


def test_a_probe_that_cannot_be_imported_is_refused():
    with pytest.raises(BadRequest, match=r"probe 'nobody:probe' could not be imported"):
        with_own(["nobody:probe"])
