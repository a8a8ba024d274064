"""Files written by overmem 0.1."""

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from overmem import store
from overmem.records import RULE, Choice, Estimate, Verdict


@pytest.fixture
def run(tmp_path):
    return store.open_run(tmp_path)


def test_a_table_of_0_1_0_is_read_with_its_names_and_notes_moved_to_at(run):
    expected = Path(__file__).parents[1] / "golden" / "expected" / "measurements.parquet"
    run.measurements_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(expected, run.measurements_path)
    rows = store.read_measurements(run)
    assert len(rows) == len(pl.read_parquet(expected))
    of = {(m.checkpoint, m.split, m.metric, *m.at.items()): m for m in rows}
    assert len(of) == len(rows)
    metrics = {m.metric for m in rows if m.at}
    assert {"pass@k", "maj@k", "token_confidence_bin", "exposed", "lt_iqr", "lt_iqr_exposed", "excess"} <= metrics
    assert not [m.metric for m in rows if "/" in m.metric or m.metric.endswith(("_01", "@2"))]
    assert not [m.note for m in rows if "temperature" in m.note or "against" in m.note]


def test_a_verdict_that_0_1_wrote_is_read_as_a_regime_and_whether_harm_is_confirmed(tmp_path):
    value = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "note": ""}
    evidence = {"kept": True, "costly": True, "reference_accuracy": 0.5, "accuracy": 0.5, "d_nll": 0.1}
    last = {"checkpoint": {"name": "checkpoint-5", "step": 5}, "regime": "over-memorized", "evidence": evidence}
    last |= dict.fromkeys(("nll", "accuracy", "excess", "accuracy_gap"), value)
    last |= {"p_costly": 0.01, "p_kept": 0.01, "reason": "why"}
    old = {"regime": "over-memorized (signature only)", "headline": "h", "sentences": [], "checkpoints": [last]}
    old |= {"onset": {"checkpoint": "checkpoint-5", "step": value}, "severity": {"excess": value}, "costs": []}
    choice = dict.fromkeys(("nll", "accuracy", "regret"), value) | {"rule": "last", "checkpoint": "checkpoint-5"}
    notes = ("", "on val, where it was chosen: flattering", "logged, on the examples it was chosen on: flattering")
    choices = [choice | {"accuracy": value | {"note": note}} for note in notes]
    old |= {"recommended": None, "choices": choices, "knobs": {"d_nll": 0.1, "seed": 0}, "schema": 1}
    run = store.open_run(str(tmp_path))
    store.write_json(run.verdict_path, old)
    verdict = store.read_verdict(run)
    assert (verdict.regime, verdict.harm_confirmed) == ("over-memorized", False)
    assert verdict.checkpoints[0].tests.kept
    assert verdict.checkpoints[0].tests.measured_nll
    assert verdict.onset.step.value == verdict.severity.excess.value == 0.5
    assert (verdict.severity.checkpoint, verdict.severity.minimum) == ("checkpoint-5", "checkpoint-5")
    assert verdict.limits.d_nll == 0.1
    assert [c.measured_on for c in verdict.choices] == ["test", "val", "log"]
    store.write_verdict(run, verdict)
    assert store.read_verdict(run) == verdict


@pytest.mark.parametrize(("headline", "ships"), [("Ship c-5: ...", True), ("Ship none yet: c-5, ...", False)])
def test_an_older_verdict_that_ships_none_recommends_none(tmp_path, headline, ships):
    value = Estimate(0.5)
    run = store.open_run(str(tmp_path))
    choice = Choice("overmem", "c-5", value, value, value)
    verdict = Verdict("healthy", headline, (), (), None, None, choice, ())
    older = {key: kept for key, kept in store.to_jsonable(verdict).items() if key != "best"}
    store.write_json(run.verdict_path, older)
    read = store.read_verdict(run)
    assert read.shipped == ("c-5" if ships else None)
    assert read.best_of_run == read.best.checkpoint == "c-5"


def test_a_verdict_of_an_older_rule_says_so(tmp_path):
    run, value = store.open_run(str(tmp_path)), Estimate(0.5)
    choice = Choice("overmem", "c-5", value, value, value)
    current = Verdict("healthy", "Ship c-5.", (), (), None, None, choice, (), warnings=("Few rows.",), rule=RULE)
    store.write_verdict(run, current)
    assert store.read_verdict(run).warnings == ("Few rows.",)
    store.write_verdict(run, replace(current, rule=RULE - 1))
    warning, rest = store.read_verdict(run).warnings
    assert warning == (
        f"This verdict was made by version {RULE - 1} of the rule, which is now version {RULE}: "
        f"`overmem diagnose {run.root}` judges again."
    )
    assert rest == "Few rows."
