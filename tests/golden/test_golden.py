"""One audited run that is kept whole: what is computed from its observations stays the same to the last digit.

The run is a small `overmem demo` (14 epochs, five checkpoints and one merge kept), audited by overmem 0.1.0 with
`overmem audit RUN --rows 120 --side-rows 50 --draws 3 --shifts preamble typos --attacks recall`: files are schema 1.
Words may change, numbers may not. `python tests/golden/test_golden.py` writes the expectations anew, for an intended
change of the arithmetic: say in the commit what changed and why.
"""

import json
import math
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.probes.measure import measured
from overmem.records import Onset
from overmem.report import Report, report

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"
VERDICTS = {"verdict": {}, "verdict-margin-0.1": {"margin": 0.1}}
SHARES = ("excess", "scale_share", "agree_share")
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+")


def measure(run):
    """The measurements of the run."""
    return tuple(measured(store.read_checkpoints(run), store.snapshot_reader(run, cache_bytes=10**9)))


def as_rows(measurements):
    """Every number of the run, with checkpoint, split, probe and metric."""
    return [
        [m.checkpoint, m.step, m.split, m.probe, name, m.value, m.stderr, m.low, m.high, m.n, note]
        for m in measurements
        for name, note in [as_in_0_1_0(m)]
    ]


def as_in_0_1_0(m):
    """Metric and note of a measurement as 0.1.0 wrote them, where `at` says today what a name or a note said then."""
    at, note = m.at, m.note.replace("not requested: audit", "not asked for: audit")
    notes = [note] if note else []
    if m.probe == "diversity":
        name = m.metric.replace("@k", f"@{at.get('k')}").replace("^k", f"^{at.get('k')}")
        notes += [f"temperature {at['temperature']:g}"] if "temperature" in at else []
        return name, "; ".join(notes)
    if "bin" in at:
        return f"{m.metric}_{at['bin']:02d}", note
    if "rank" in at:
        name = f"{m.metric.removesuffix('_exposed')}_{at['rank']:02d}"
        words = [at.get("example", ""), f"by {at['by']}" if "by" in at else "", note]
        return name, " ".join(word for word in words if word)
    if "example" in at:
        return f"{m.metric}/{at['example']}", note
    return m.metric, "; ".join([*notes, *([f"against {at['reference']}"] if "reference" in at else [])])


def judged(run, options):
    """The numbers of a verdict and the names that go with them; no sentence of it."""
    verdict = diagnose(Diagnose(str(run.root), **options))
    estimate = lambda e: None if e is None else [e.value, e.low, e.high, e.n]  # noqa: E731
    choice = lambda c: None if c is None else [c.rule, c.checkpoint, *map(estimate, (c.accuracy, c.nll, c.regret))]  # noqa: E731
    onset = lambda o: {f.name: without_stderr(getattr(o, f.name)) for f in fields(Onset)} if o else {}  # noqa: E731
    consequence = lambda c: [c.name, c.checkpoint, estimate(c.difference), c.p, c.confirmed]  # noqa: E731
    severity = lambda s: {k: estimate(getattr(s, k)) for k in SHARES} if s else {}  # noqa: E731
    return store.to_jsonable(
        {
            "regime": verdict.regime,
            "checkpoints": [
                [
                    c.checkpoint.name,
                    c.regime,
                    *map(estimate, (c.nll, c.accuracy, c.excess, c.accuracy_gap)),
                    c.p_costly,
                    c.p_kept,
                ]
                for c in verdict.checkpoints
            ],
            "onset": onset(verdict.onset),
            "severity": severity(verdict.severity),
            "recommended": choice(verdict.recommended),
            "choices": [choice(c) for c in verdict.choices],
            "costs": sorted(consequence(c) for c in verdict.costs),
            "privacy": sorted(consequence(c) for c in verdict.privacy),
        }
    )


def without_stderr(value):
    """An estimate as 0.1.0 wrote it; what is no estimate stays."""
    plain = store.to_jsonable(value)
    return {k: v for k, v in plain.items() if k != "stderr"} if isinstance(plain, dict) else plain


def drawn(run, measurements):
    """Every number of the report's charts, in the order of the page."""
    diagnosed = diagnose(Diagnose(str(run.root)))
    store.write_verdict(run, diagnosed)
    store.write_measurements(run, measurements)
    page = report(Report(str(run.root))).read_text(encoding="utf-8")
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', page, re.S)[1])["charts"]
    return {name: numbers_in(chart.get("datasets", chart)) for name, chart in charts.items()}


def numbers_in(value):
    """The numbers of a chart's data, those inside of text not included."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return sorted(n for item in inner for n in numbers_in(item))


@pytest.fixture(scope="module", autouse=True)
def two_blas_threads():
    """The expected numbers were computed with two: another count sums in another order, and the last digit differs."""
    with threadpool_limits(limits=2, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def run(golden_run, tmp_path_factory):
    return store.open_run(shutil.copytree(golden_run.root, tmp_path_factory.mktemp("golden") / "run"))


@pytest.fixture(scope="module")
def measurements(run):
    return store.read_measurements(run)


def expected(name):
    return json.loads((EXPECTED / f"{name}.json").read_text())


def differences(now, then, place=""):
    """Where two JSON values differ; numbers by more than the order of summation may change them (1 in 1e11)."""
    if isinstance(now, float) and isinstance(then, int | float):
        return [] if math.isclose(now, then, rel_tol=1e-11, abs_tol=1e-13) else [(place, now, then)]
    if isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        return [d for i, pair in enumerate(zip(now, then, strict=True)) for d in differences(*pair, f"{place}/{i}")]
    if isinstance(now, dict) and isinstance(then, dict) and now.keys() == then.keys():
        return [d for key in now for d in differences(now[key], then[key], f"{place}/{key}")]
    return [] if now == then else [(place, now, then)]


def test_every_measurement_is_the_same_to_the_last_digit(measurements):
    now = as_rows(measurements)
    assert len(now) > 3000
    assert differences(store.to_jsonable(now), expected("measurements")) == []


def test_the_kept_table_of_measurements_was_the_same_but_for_the_majority_that_0_1_0_estimated():
    frame = pl.read_parquet(EXPECTED / "measurements.parquet")
    kept = store.to_jsonable([list(row) for row in frame.iter_rows()])
    changed = [(then, now) for then, now in zip(kept, expected("measurements"), strict=True) if then != now]
    value = frame.columns.index("value")
    assert {then[frame.columns.index("metric")] for then, _ in changed} == {"maj@2"}
    assert all(now[value] == pytest.approx(then[value], abs=0.03) for then, now in changed)


@pytest.mark.parametrize("name", VERDICTS)
def test_every_number_of_the_verdict_is_the_same(run, name):
    was = expected(name)
    was["costs"].sort()  # consequences come in the order of the table of probes
    assert differences(judged(run, VERDICTS[name]), was) == []


def test_the_charts_of_the_report_show_the_same_numbers(run, measurements):
    now = json.loads(json.dumps(drawn(run, measurements)))
    assert len(now) > 10
    assert differences(now, expected("charts")) == []


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "run", Path(folder) / "run")
        kept = store.open_run(str(Path(folder) / "run"))
        wanted = sys.argv[1:] or ["measurements", *VERDICTS, "charts"]
        numbers = measure(kept)
        made = {"measurements": lambda: store.to_jsonable(as_rows(numbers)), "charts": lambda: drawn(kept, numbers)}
        made |= {name: lambda name=name: judged(kept, VERDICTS[name]) for name in VERDICTS}
        for name in wanted:
            (EXPECTED / f"{name}.json").write_text(json.dumps(made[name]()) + "\n")
