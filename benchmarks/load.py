"""Seconds, processor seconds and peak memory of measuring, `overmem diagnose` and `overmem report` on large runs.

The runs are made through the store, with 20 solution tokens per example and three splits.

    python benchmarks/load.py --sizes 200x2000 3x100000 --out docs/results/load.json
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from diagnose import MAKE  # noqa: E402
from figures import write_figures  # noqa: E402

MEASURE = """
import sys
from overmem import store
from overmem.probes.measure import measured
run = store.open_run(sys.argv[1])
store.write_measurements(run, list(measured(store.read_checkpoints(run), store.snapshot_reader(run))))
"""


def timed(what: str, command: list[str]) -> dict[str, Any]:
    """Run a command and measure it.

    Raises:
        SystemExit: it failed.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    wrapper = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", wrapper, *command], stdout=subprocess.PIPE, text=True, env=environment)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)[:100]} failed")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "what": what,
        "seconds": round(seconds, 1),
        "processor seconds": round(processor, 1),
        "peak MiB": int(done.stdout) // 1024,
    }


def load(checkpoints: int, examples: int) -> list[dict[str, Any]]:
    """The figures of one size."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        python, command = [sys.executable, "-c"], [sys.executable, "-m", "overmem"]
        subprocess.run([*python, MAKE, run, str(checkpoints), str(examples), "20"], check=True)
        rows = [
            timed("measure", [*python, MEASURE, run]),
            timed("diagnose", [*command, "diagnose", run, "-q"]),
            timed("report", [*command, "report", run, "-q"]),
        ]
        pages = list(Path(run).rglob("report.html"))
        rows[-1]["page MB"] = round(pages[0].stat().st_size / 1e6, 1)
    return [{"checkpoints": checkpoints, "examples": examples} | row for row in rows]


def main() -> None:
    """Measure every size, and print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["200x2000", "3x100000"], help="checkpoints x examples per split")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        rows += load(*map(int, size.split("x")))
        sys.stderr.write(f"{rows[-3:]}\n")
    write_figures({"load before": os.getloadavg(), "rows": rows}, options.out)


if __name__ == "__main__":
    main()
