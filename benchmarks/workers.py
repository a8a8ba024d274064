"""How long an audit of the demo's run takes with two local workers, against one process; one thread each.

Each repeat audits the same run twice, into a new folder each time, an even repeat with one process first and an odd one
with two workers first. Three times are measured of each: the whole command (start of Python, plan, observing, grading,
measuring), observing alone (from the plan to the last unit), and the processor time of the command and its workers.
Ratios are of the two audits of a repeat; the median is reported with all of them.

    python benchmarks/workers.py --out docs/results/workers.json            # trains the demo's run first
    python benchmarks/workers.py --run runs/demo --rows 100 --repeats 1     # a small round
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from overmem.demo import Demo, recipe
from overmem.training.verb import train

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "POLARS_MAX_THREADS": "1"}


def run_audit(run: Path, out: Path, workers: int, rows: int) -> dict[str, Any]:
    """Times of one audit, in seconds, and what it measured."""
    command = [
        *(sys.executable, "-m", "overmem", "audit", str(run), "--out", str(out), "--rows", str(rows)),
        *("--token-budget", "65536", "--workers", str(workers), "--json", "-q"),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, begun = time.perf_counter(), time.time()
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    whole = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    units = [p for kind in ("scores", "samples") for p in out.glob(f"observations/*/*.{kind}.parquet")]
    planned, observed = (out / "queue.json").stat().st_mtime, max(p.stat().st_mtime for p in units)
    return {
        "workers": workers,
        "whole": whole,
        "before": planned - begun,
        "observing": observed - planned,
        "after": begun + whole - observed,
        "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "units": len(units),
        "measurements": json.loads(done.stdout),
    }


def compare(run: Path, repeats: int, rows: int) -> list[dict[str, Any]]:
    """Every audit, two of each repeat, without what they measured, which has to be equal."""
    audits = []
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            order = (1, 2) if repeat % 2 == 0 else (2, 1)
            pair = [run_audit(run, Path(folder) / str(workers), workers, rows) for workers in order]
        measured = [audit.pop("measurements") for audit in pair]
        if measured[0] != measured[1]:
            raise SystemExit("one process and two workers measured different numbers")
        audits += [audit | {"repeat": repeat} for audit in pair]
        sys.stderr.write(f"{ratios(audits[-2:])}\n")
    return audits


def ratios(audits: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Time of two workers divided by that of one process, for every repeat."""
    times = {(audit["repeat"], audit["workers"]): audit for audit in audits}
    repeats = sorted({audit["repeat"] for audit in audits})
    return {
        name: [round(times[repeat, 2][name] / times[repeat, 1][name], 3) for repeat in repeats]
        for name in ("whole", "observing", "processor")
    }


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, help="a run that the demo trained; by default one is trained now")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = options.run
        if run is None:
            run = train(recipe(Demo(output=f"{folder}/demo"))).root
        load = os.getloadavg()
        audits = compare(run, options.repeats, options.rows)
    all_ratios = ratios(audits)
    result = {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "load_before": load},
        "rows": options.rows,
        "median": {name: statistics.median(values) for name, values in all_ratios.items()},
        "ratios": all_ratios,
        "audits": audits,
    }
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
