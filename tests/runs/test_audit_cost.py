"""The estimate of an audit, and the number of examples that a budget allows."""

import json
import shutil
from dataclasses import replace

import pytest

from overmem import store
from overmem.audit import Audit, audit, estimate_audit
from overmem.audit.request import requested, seconds_of
from overmem.audit.workload import workload_of
from overmem.errors import BadRequest
from overmem.observe.throughput import Throughput


@pytest.fixture
def run(foreign_run, tmp_path):
    return shutil.copytree(foreign_run, tmp_path / "run")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sums.jsonl"
    sums = [(a, b) for a in range(25) for b in range(20)]
    rows = [{"question": f"What is {a} plus {b}?", "solution": f"{a} + {b}\n#### {a + b}"} for a, b in sums]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def config(run, base, many):
    return Audit(str(run), str(many), str(base), rows=30, side_rows=10, draws=1, max_new_tokens=8)


@pytest.fixture
def slow(monkeypatch):
    """A machine that scores a token in 10 ms, does everything else in no time, and took 10 s of warm-up."""
    for module in ("plan", "estimate"):
        monkeypatch.setattr(
            f"overmem.audit.{module}.throughput_of",
            lambda load: Throughput(load.request.decoding, 16384, scored=0.01, nll_spread=1.0, spent=10.0),
        )


def listing(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*")}


def test_a_dry_run_counts_the_tokens_and_writes_nothing(run, config):
    before = listing(run)
    estimate = estimate_audit(config)
    assert listing(run) == before
    assert estimate.checkpoints == ("base", "checkpoint-2", "checkpoint-4")
    assert (estimate.units, estimate.already_done) == (len(estimate.splits) * 2 * 3, 0)
    assert estimate.seconds > 0
    assert estimate.most_seconds >= estimate.seconds
    assert estimate.memory_bytes > 2**20
    assert estimate.generated_tokens <= sum(s.examples for s in estimate.splits) * 2 * 8 * 3
    audit(config)
    splits = workload_of(requested(config, print)).splits.values()
    assert estimate.scored_tokens == 3 * sum(len(e.input_ids) for s in splits for e in s.encoded)


def test_units_that_are_done_cost_nothing_and_a_new_checkpoint_costs_its_share(run, config):
    whole = estimate_audit(config)
    audit(replace(config, checkpoints=("base", "checkpoint-2")))
    rest = estimate_audit(config)
    assert rest.checkpoints == ("checkpoint-4",)
    assert rest.scored_tokens * 3 == whole.scored_tokens
    audit(config)
    nothing = estimate_audit(config)
    assert (nothing.units, nothing.seconds, nothing.already_done) == (0, 0, whole.units)


def test_the_command_prints_the_estimate_as_text_and_as_json(overmem, run, config):
    words = (
        "audit",
        run,
        "--data",
        config.data,
        "--base",
        config.base,
        "--rows",
        6,
        "--max-new-tokens",
        8,
        "--dry-run",
    )
    done = overmem(*words)
    assert done.returncode == 0, done.stderr
    assert "Nothing was written" in done.stdout
    assert "prompt    'Question: " in done.stdout
    assert "A completion ends at '<eos>'." in done.stdout
    result = json.loads(overmem(*words, "--json").stdout)
    assert {s["split"] for s in result["splits"]} >= {"train", "val", "test"}
    assert result["shown"]["prompt"].endswith("Answer:")
    assert result["shown"]["solution"].endswith(result["shown"]["ends"][0])
    assert result["units"] == 2 * 3 * len(result["splits"])
    assert not (run / "overmem").exists()


@pytest.mark.usefixtures("slow")
def test_a_budget_determines_the_number_of_examples_and_their_precision(config):
    plenty = estimate_audit(replace(config, budget="1h"))
    assert (plenty.rows, plenty.side_rows) == (30, 10)
    tight = estimate_audit(replace(config, budget=f"{10 + 0.8 * plenty.seconds / 0.9:.1f}s"))
    assert 20 <= tight.rows < 30
    assert 1 <= tight.side_rows < 10
    assert 0.6 * plenty.seconds < tight.seconds <= 0.8 * plenty.seconds + 0.1
    for few, many in zip(tight.splits, plenty.splits, strict=True):
        assert few.accuracy_half_width > many.accuracy_half_width
        assert few.nll_half_width > many.nll_half_width


@pytest.mark.usefixtures("slow")
def test_rows_chosen_for_a_budget_are_reused_for_the_same_budget_only(config):
    lines = []
    some = replace(config, budget=f"{10 + 0.8 * estimate_audit(config).seconds / 0.9:.1f}s", data=None)
    with pytest.raises(BadRequest):
        audit(some)  # the run is not known before it was audited once
    some = replace(some, data=config.data)
    done = audit(some, say=lines.append)
    assert any("is enough for" in line and "accuracy ±" in line for line in lines)
    chosen = store.read_plan(done.run).options["rows"]
    assert 20 <= chosen < 30
    again = audit(replace(some, data=None))
    assert (again.computed, again.already_done) == (0, done.computed)
    assert store.read_plan(done.run).options["rows"] == chosen
    assert estimate_audit(replace(some, data=None, budget="2h")).rows == 30


@pytest.mark.usefixtures("slow")
def test_a_budget_that_is_too_short_is_refused_with_the_shortest_allowed_one(config):
    with pytest.raises(BadRequest, match=r"--budget 12s is too short: 20 examples .*allowed: \d+m or more"):
        audit(replace(config, budget="12s"))


def test_a_budget_is_a_duration():
    assert [seconds_of(text) for text in ("90s", "30m", "1h30m", "1.5h")] == [90, 1800, 5400, 5400]
    for text in ("", "30", "half an hour", "30m later", "0m"):
        with pytest.raises(BadRequest, match="90s, 30m"):
            seconds_of(text)


def test_a_missing_engine_and_one_without_throughput_are_refused(config, monkeypatch):
    with pytest.raises(BadRequest, match="unknown engine 'tgi'; allowed: hf, module:function, vllm"):
        audit(replace(config, engine="tgi"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match=r"pip install 'overmem\[vllm\]'"):
        audit(replace(config, engine="vllm"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(BadRequest, match="--dry-run measures the time of --engine hf"):
        estimate_audit(replace(config, engine="vllm"))
