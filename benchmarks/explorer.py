"""How quickly the explorer opens and filters, and how large the report is, on one large run.

    python benchmarks/explorer.py --examples 5000 --checkpoints 20 --completions 5

The run is made through the store, with texts and tokens as long as real ones. `overmem view` is started as a command;
times are those of a browser (Playwright with a Chromium of the system), from the request to drawn rows.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from overmem import store
from overmem.records import TEMPERATURES, Checkpoint, Completions, Example, Grades, Plan, PlannedSplit, Scores
from overmem.report import Report, report

TEXT = (
    "the train leaves station with passengers more apples than before each basket holds twice as many so we add "
    "and subtract until only half of them remain therefore answer is equal to total number minus first second day"
)
WORDS = TEXT.split()
SHARES = {"train": 0.2, "val": 0.3, "test": 0.3, "test+typos": 0.1, "ood-longer": 0.1}
FILTERS = [("change", "lost"), ("split", "test"), ("change", "won"), ("split", ""), ("sort", "rise"), ("change", "any")]


def make_run(root: Path, *, examples: int, checkpoints: int, completions: int, tokens: int = 120) -> store.Run:
    """A run of `checkpoints` checkpoints with this many examples in all, and sampled completions for each."""
    run = store.open_run(root)
    random = np.random.default_rng(0)
    names = ["base", *(f"checkpoint-{50 * k}" for k in range(1, checkpoints))]
    points = tuple(Checkpoint(name, 50 * k, k / 2) for k, name in enumerate(names))
    sizes = {split: round(share * examples) for split, share in SHARES.items()}
    store.write_plan(run, Plan({s: PlannedSplit("r", n) for s, n in sizes.items()}, points))
    store.write_token_texts(run, {i: f" {word}" for i, word in enumerate(WORDS)})

    def text(n: int) -> str:
        return " ".join(WORDS[i] for i in random.integers(0, len(WORDS), n))

    for split, n in sizes.items():
        examples_of_split = [Example(f"{split}{i:012d}", f"{text(45)}?", text(tokens), str(i)) for i in range(n)]
        store.write_examples(run, split, examples_of_split)
        ids = tuple(e.id for e in examples_of_split)
        token_ids = random.integers(0, len(WORDS), n * tokens).astype(np.int32)
        difficulty = random.random(n)
        flat = random.gamma(1.0, 0.3, n * tokens).astype(np.float32)
        texts = [f"{text(60)} #### {i}" for i in range(n)]
        for k, point in enumerate(points):
            nll = flat * np.float32(0.4 + abs(k - 7) / 12)
            sums = nll.reshape(n, tokens).sum(1)
            zeros = np.zeros(n * tokens, np.float32)
            tempered = np.repeat(sums[:, None], len(TEMPERATURES), 1).astype(np.float64)
            scores = Scores(
                ids, np.arange(0, n * tokens + 1, tokens), token_ids, -nll, zeros, nll < 0.7, zeros, zeros, zeros,
                tempered,
            )  # fmt: skip
            store.write_scores(run, point.name, split, scores, weights="w", request="r")
            draws = np.tile(np.arange(completions + 1), n)
            example_rows = np.repeat(np.arange(n), completions + 1)
            uniform = random.random(len(example_rows))
            right = uniform < 0.9 - 0.7 * difficulty[example_rows] * (1.2 - k / checkpoints)
            texts = tuple(
                f"{texts[i][: 40 + 17 * d]} at {k} {texts[i][60 + 11 * d :]}"
                for i, d in zip(example_rows, draws, strict=True)
            )
            example_ids = tuple(ids[i] for i in example_rows)
            stop = tuple(np.where(uniform > 0.97, "length", "eos").tolist())
            sampled = Completions(
                example_ids, draws, 0.7 * (draws > 0), texts, np.full(len(example_ids), 90), -uniform * 20, stop
            )
            store.write_samples(run, point.name, split, sampled, weights="w", request="r")
            graded = Grades(example_ids, draws, tuple(str(i) for i in example_rows), right, ("",) * len(example_ids))
            store.write_grades(run, point.name, split, graded, weights="w", request="r", grader="math 2")
    return run


@contextmanager
def served(run: store.Run) -> Iterator[tuple[str, float]]:
    """`overmem view` as a command: its address, and the seconds until it printed it."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "overmem", "view", str(run.root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


CHANGE = """([key, value]) => new Promise((done) => {
  const field = document.querySelector(`[data-key=${key}]`);
  const began = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("change"));
  document.querySelector("#explorer").getBoundingClientRect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""


def measured_in_browser(address: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of opening, of each filter, of a search and of opening an example."""
    from playwright.sync_api import sync_playwright

    times: dict[str, list[float]] = {"open": [], "filter": [], "filter, processor time of the page": [], "example": []}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as session:
        browser = session.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            page.goto(address)
            page.wait_for_selector("table.examples tbody tr")
            times["open"].append(1000 * (time.perf_counter() - start))
            devtools = page.context.new_cdp_session(page)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            for change in FILTERS:
                before = _processor_ms(devtools)
                times["filter"].append(page.evaluate(CHANGE, list(change)))
                times["filter, processor time of the page"].append(_processor_ms(devtools) - before)
            start = time.perf_counter()
            page.locator("a.open").nth(5).click()
            page.wait_for_selector(".completion-box")
            times["example"].append(1000 * (time.perf_counter() - start))
            page.close()
        browser.close()
    return times


def _processor_ms(devtools: Any) -> float:
    """What the page's thread has used of the processor so far: unlike the clock, not longer on a busy machine."""
    metrics = {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}
    return 1000 * float(metrics["TaskDuration"])


def main() -> None:
    """Make the run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--checkpoints", type=int, default=20)
    parser.add_argument("--completions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=Path, help="a run that an earlier call made, or where to make it")
    options = parser.parse_args()
    root = options.run or Path(tempfile.mkdtemp())
    root.mkdir(parents=True, exist_ok=True)
    run = store.open_run(root)
    if not run.plan_path.is_file():
        run = make_run(
            root, examples=options.examples, checkpoints=options.checkpoints, completions=options.completions
        )
    with served(run) as (address, seconds):
        times = measured_in_browser(address, options.rounds)
    shown = {name: {"median": statistics.median(t), "most": max(t), "n": len(t)} for name, t in times.items()}
    result = {"command printed its address, s": seconds, "first open, ms": times["open"][0], "ms": shown}
    if run.verdict_path.is_file():
        start = time.perf_counter()
        path = report(Report(str(root)))
        result |= {"report, s": time.perf_counter() - start, "report, bytes": path.stat().st_size}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
