"""A real sweep on the embedded model: interrupted, resumed, and finished with its page."""

import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
import yaml

CONTENT = {
    "recipe": {
        "data": {"train": 16, "val": 12, "test": 12, "options": {"ood": 6}},
        "epochs": 2,
        "observe_rows": 0,
        "trainer": {"save_only_model": True},
    },
    "vary": {"learning_rate": [1e-4, 1e-3]},
    "seeds": 2,
    "audit": {"rows": 12, "side_rows": 6, "max_new_tokens": 8},
    "keep": "recommended",
}


@pytest.mark.slow
def test_a_stopped_sweep_resumes_and_ends_with_its_page(tmp_path):
    path = tmp_path / "rates.yaml"
    path.write_text(yaml.safe_dump({"output": str(tmp_path / "rates"), **CONTENT}))
    command = [sys.executable, "-m", "overmem", "sweep", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    runs = tmp_path / "rates" / "runs"
    while not [*runs.glob("*/overmem/sweep.json")] and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = min(runs.glob("*/overmem/sweep.json"), key=lambda p: p.stat().st_mtime)
    trained = first.stat().st_mtime
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 runs" in done.stderr
    table = pl.read_parquet(tmp_path / "rates" / "sweep.parquet")
    assert table["run"].n_unique() == 4
    assert (tmp_path / "rates" / "sweep.html").stat().st_size > 10_000
    assert not [*(tmp_path / "rates" / "leases").glob("*.json")]
    weights = {run.name: sorted(p.name for p in run.glob("checkpoint-*")) for run in runs.iterdir()}
    assert all(1 <= len(names) <= 2 and "checkpoint-2" in names for names in weights.values()), weights
    marked = first.stat().st_mtime
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0
    assert "4 runs, 4 of them done" in again.stderr
    assert first.stat().st_mtime == marked >= trained


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_two_workers_leave_the_same_table_as_one_process(tmp_path, executor, request):
    if executor == "ray":
        request.getfixturevalue("ray_starts")
    tables = []
    for name, options in (("alone", []), ("shared", ["--workers", "2", "--executor", executor])):
        path = tmp_path / f"{name}.yaml"
        content = {**CONTENT, "output": str(tmp_path / name), "seeds": 1}
        path.write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "overmem", "sweep", str(path), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr
        tables.append(pl.read_parquet(tmp_path / name / "sweep.parquet"))
    assert tables[0].equals(tables[1])
