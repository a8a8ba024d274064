"""A sweep of planted runs: its table, effects, rules, page and tables for a paper."""

import json
import re

import pytest
import yaml

from overmem import store
from overmem.diagnose import diagnose
from overmem.diagnose.options import Diagnose
from overmem.probes import PROBES
from overmem.probes.measure import measured
from overmem.sweep import work
from overmem.sweep.conditions import planned_runs
from overmem.sweep.options import read_sweep
from overmem.sweep.outcomes import runs_of
from overmem.sweep.regret import regrets
from overmem.sweep.table import read_table
from overmem.sweep.verb import write_page
from studies.trajectories import World
from tests.verdict.conftest import write_planted_run


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two learning rates on three seeds; the large one is over-memorized at the end and loses on ood-far."""
    folder = tmp_path_factory.mktemp("sweep")
    path = folder / "rates.yaml"
    path.write_text(
        yaml.safe_dump(
            {"output": str(folder / "rates"), "vary": {"learning_rate": [1e-5, 1e-3]}, "seeds": 3, "keep": "none"}
        )
    )
    runs, probes = planned_runs(read_sweep(path)), {name: PROBES[name] for name in ("perplexity", "accuracy", "ood")}
    for planned in runs[:-1]:  # the last one is not there yet
        large = planned.levels["learning_rate"] == "0.001"
        shape, excess = ("over-memorized", 0.4) if large else ("healthy", 0.02)
        world = World(shape, n=500, checkpoints=5, excess=excess, discordance=0.02)
        planned.root.mkdir(parents=True)
        run = write_planted_run(planned.root, world, seed=planned.seed, ood_loss=0.3 if large else 0.0001)
        snapshots = store.snapshot_reader(run)
        store.write_measurements(run, tuple(measured(store.read_checkpoints(run), snapshots, probes)))
        store.write_verdict(run, diagnose(Diagnose(str(planned.root))))
        work.mark(planned, planned.audit)
    return write_page(str(path))


def test_the_table_has_every_measurement_of_every_run(swept):
    table = read_table(swept.table)
    assert table["run"].n_unique() == 5
    assert set(table["vary.learning_rate"]) == {"1e-05", "0.001"}
    first = swept.runs[0]
    rows = table.filter(run=first.name, probe="accuracy", metric="accuracy", split="test")
    curves = store.read_curves(store.open_run(first.root), "test")
    assert rows.sort("step")["value"].to_list()[1:] == pytest.approx(curves.correct.mean(1).tolist()[1:])
    assert [None if ids is None else len(ids) for ids in rows.sort("step")["examples"]] == [None, *[500] * 5]


def test_the_planted_effect_of_the_learning_rate_is_found(swept):
    table = read_table(swept.table)
    outcomes = {run.run: run.outcomes for run in runs_of(table)}
    excess = [o["excess nll, at the end"].value for name, o in outcomes.items() if "0.001" in name]
    assert excess == pytest.approx([0.4] * len(excess), abs=0.05)
    page = swept.page.read_text()
    assert "2 of 5 runs end over-memorized, over 3 seeds" in page
    assert "1 of 6 runs are not finished" in page


def test_rules_are_evaluated_on_test_over_all_runs(swept):
    result = {regret.rule: regret for regret in regrets(read_table(swept.table))}
    assert result["overmem"].runs == 5
    assert result["last"].over_memorized == 2
    assert result["last"].nll_gained.value > 0.05
    assert result["overmem"].p is None


def test_the_page_has_every_section_and_every_chart(swept):
    page = swept.page.read_text()
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)[1])["charts"]
    places = {
        f"{section}-{name}"
        for section, body in re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.DOTALL)
        for name in re.findall(r'data-chart="([^"]+)"', body)
    }
    assert set(charts) == places
    assert {"phases-phase-0", "curves-nll-0", "curves-accuracy-1", "effects-effect-0"} <= places
    assert "overmem sweep" in page


def test_every_table_is_saved_next_to_the_page_as_csv_and_latex(swept):
    names = {p.name for p in (swept.output / "tables").iterdir()}
    assert names == {f"{t}.{end}" for t in ("runs", "levels", "effects", "matched", "rules") for end in ("csv", "tex")}
    csv = (swept.output / "tables" / "runs.csv").read_text().splitlines()
    assert csv[0].startswith("learning_rate,seed,regime at the end")
    assert len(csv) == 6
    latex = (swept.output / "tables" / "runs.tex").read_text()
    assert latex.startswith(r"\begin{tabular}{lllll")
    assert r"learning\_rate" in latex
