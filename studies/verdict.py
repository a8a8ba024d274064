"""How far the verdict can be trusted: the rule and the choice on simulated runs with known truth.

`python -m studies.verdict` writes docs/results/verdict.md; `--only onset --runs 60` one of its sections anew.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from overmem import statistics
from overmem.records import Curves, Estimate
from studies.advice import advice_table
from studies.calibration import reliability, sample
from studies.forecasts import forecast_table
from studies.judged import Cell, Tally, tally
from studies.limits import limits_table
from studies.onsets import onset_table as onset_worlds
from studies.page import table
from studies.picks import more_table, of_world, regret_table
from studies.promises import alarm_table, promise_table
from studies.stopping import early_stopping, finetune_doctor
from studies.trajectories import World, shapes

SETTINGS = ((1000, 0.03), (500, 0.05))
"""Examples and margin at which the rule is held to its error rates."""
NULLS = ("healthy", "healthy, excess just below the limit", "flat", "noisy", "under-trained", "only worse")
OVER_FITTED = ("over-fitted", "over-fitted, steadily", "over-fitted after a peak")
RISES = tuple(name for name in shapes(World()) if name.startswith("over-memorized"))
EXAMPLES = (100, 200, 500, 1000, 2000)
DISCORDANCE = (0.05, 0.10, 0.20)


def null_cells() -> list[Cell]:
    """Runs on which `over-memorized` is a false alarm."""
    cells = []
    for n, margin in SETTINGS:
        for name in NULLS:
            noisy = World("flat", n, discordance=0.25, noise=0.4) if name == "noisy" else World(name, n)
            cells.append(Cell(noisy, margin))
        cells += [Cell(World(name, n, loss=margin + 0.02), margin) for name in OVER_FITTED]
    return cells


def limit_cells() -> list[Cell]:
    """Over-fitted runs whose loss is the margin and a little more: the hardest of the false alarms."""
    asks = ("regime", "references")
    names = ("over-fitted", "over-fitted after a peak")
    return [Cell(World(n, 1000, loss=0.03 + d), 0.03, asks=asks) for n in names for d in (0.0, 0.005, 0.01)]


def power_cells() -> list[Cell]:
    """Over-memorized runs at the settings the rule is held to."""
    asks = ("regime", "references", "onset")
    return [Cell(World(name, n), margin, asks=asks) for n, margin in SETTINGS for name in RISES]


def grid_cells(margin: float = 0.03) -> list[Cell]:
    """Power over examples and discordance."""
    return [Cell(World(n=n, discordance=d), margin) for d in DISCORDANCE for n in EXAMPLES]


def onset_cells() -> list[Cell]:
    """Onset intervals over examples and number of checkpoints; those of other shapes come from the power cells."""
    return [
        Cell(World(n=n, checkpoints=k), asks=("onset",))
        for k in (5, 10, 20)
        for n in (200, 1000)
        if (k, n) != (10, 1000)
    ]


def pick_cells() -> list[Cell]:
    """What each selection rule picks."""
    return [Cell(World(name, n), asks=("picks",)) for n in (200, 1000) for name in shapes(World())]


def baselines(python: str | None, runs: Sequence[Curves]) -> Mapping[str, list[int]]:
    """The picks of the early-stopping rules, and of finetune-doctor where an interpreter has it."""
    return early_stopping(runs) | (finetune_doctor(runs, python) if python else {})


def rate(estimate: Estimate) -> str:
    """A share as percent with its interval."""
    if estimate.value is None:
        return "–"
    return f"{100 * estimate.value:.1f} ({100 * (estimate.low or 0):.1f}–{100 * (estimate.high or 0):.1f})"


def null_table(tallies: Iterable[Tally]) -> str:
    """False alarms: by the last checkpoint, and by any checkpoint that is truly not over-memorized."""
    rows = [(*of_world(t), rate(t.rate(t.last.get("over-memorized", 0))), rate(t.rate(t.any_false))) for t in tallies]
    return table(("run", "n", "margin", "run called over-memorized, %", "any checkpoint falsely, %"), rows)


def limit_table(tallies: Iterable[Tally]) -> str:
    """False alarms at the margin itself, by how accuracy's reference is made."""
    tallies = list(tallies)
    names = list(tallies[0].kept)
    rows = [
        (t.cell.world.shape, f"{t.cell.world.loss:.3f}", *(rate(t.rate(t.kept[k])) for k in names)) for t in tallies
    ]
    return table(("run", "accuracy lost", *names), rows)


def power_table(tallies: Iterable[Tally]) -> str:
    """Power and onset coverage on over-memorized runs, and what other references would have had."""
    tallies = list(tallies)
    names = list(tallies[0].kept)
    rows = [
        (
            *of_world(t),
            rate(t.rate(t.last.get("over-memorized", 0))),
            rate(t.rate(t.any_over_memorized)),
            *(rate(t.rate(t.kept[k])) for k in names),
        )
        for t in tallies
    ]
    kept = tuple(f"kept: {k}" for k in names)
    return table(("run", "n", "margin", "run called over-memorized, %", "some checkpoint, %", *kept), rows)


def grid_table(tallies: Iterable[Tally]) -> str:
    """Power, a row a discordance, a column an n."""
    by_place = {(t.cell.world.discordance, t.cell.world.n): t for t in tallies}
    rows = []
    for d in DISCORDANCE:
        row_tallies = [by_place[d, n] for n in EXAMPLES]
        rows.append((f"{d:.2f}", *(rate(t.rate(t.last.get("over-memorized", 0))) for t in row_tallies)))
    return table(("discordant answers", *(f"n = {n:,}" for n in EXAMPLES)), rows)


def onset_table(tallies: Iterable[Tally]) -> str:
    """How often the interval of the onset holds the truth, and how wide it is."""
    rows = [
        (
            *of_world(t),
            t.cell.world.checkpoints,
            f"{t.intervals:,}",
            rate(statistics.share(t.covered, t.intervals)),
            f"{t.width:.0f}",
        )
        for t in tallies
    ]
    head = (
        "run",
        "n",
        "margin",
        "checkpoints",
        "runs with an onset",
        "interval holds the truth, %",
        "mean width, steps",
    )
    return table(head, rows)


def cells_of_before(runs: int, processes: int, python: str | None, record: Callable[[int], str] | None = None) -> str:
    """The tables of the first simulator, `studies.trajectories`."""
    groups = {
        "nulls": null_cells(),
        "limits": limit_cells(),
        "powers": power_cells(),
        "grid": grid_cells(),
        "grid5": grid_cells(0.05),
        "onsets": onset_cells(),
        "picks": pick_cells(),
    }
    flat = [(name, cell) for name, cells in groups.items() for cell in cells]
    counts = [_grid_runs(runs) if name.startswith("grid") else runs for name, _ in flat]
    with ProcessPoolExecutor(processes) as pool:
        tallies = list(pool.map(partial(_tally, python), [cell for _, cell in flat], counts))
    by_group = {name: [t for (g, _), t in zip(flat, tallies, strict=True) if g == name] for name in groups}
    return BEFORE_TEMPLATE.format(
        runs=f"{runs:,}",
        grid_runs=f"{_grid_runs(runs):,}",
        nulls=null_table(by_group["nulls"]),
        limits=limit_table(by_group["limits"]),
        powers=power_table(by_group["powers"]),
        grid=grid_table(by_group["grid"]),
        grid5=grid_table(by_group["grid5"]),
        onsets=onset_table((*by_group["onsets"], *by_group["powers"])),
        picks=regret_table(by_group["picks"]),
        more=more_table(by_group["picks"]),
        doctor=DOCTOR_RUN if python else "finetune-doctor was not run (`--finetune-doctor PYTHON`).",
        forecast=record(runs) if record else "",
    )


@dataclass(frozen=True)
class Means:
    """What sections are made with."""

    folder: Path | None = None
    """Where judged worlds are kept, so that a study resumes."""
    python: str | None = None
    """An interpreter that has finetune-doctor."""


SECTIONS: Mapping[str, tuple[Callable[[int, Means], str], int]] = {
    "lines": (lambda runs, means: promise_table(runs, means.folder), 400),
    "bounds": (lambda runs, means: limits_table(), 0),
    "worlds": (lambda runs, means: alarm_table(runs, folder=means.folder), 200),
    "onset": (lambda runs, means: onset_worlds(runs, means.folder), 60),
    "advice": (lambda runs, means: advice_table(runs, means.folder, means.python), 40),
    "forecast": (lambda runs, means: forecast_table(runs, means.folder), 40),
    "leanings": (lambda runs, means: reliability(sample(runs, "reliability")), 1200),
}
"""Section made on `studies.worlds` -> its table, and how many runs (or random worlds) a row has."""


def written(page: str, section: str, text: str) -> str:
    """The page with the table of a section in its place."""
    made = f"<!-- {section} -->\n{text}\n<!-- end -->"
    return re.sub(rf"<!-- {section} -->.*?<!-- end -->", lambda _: made, page, flags=re.S)


def with_tables(old: str) -> str:
    """The template, with the tables of an earlier page and its cells of before."""
    page = TEMPLATE
    for section, text in re.findall(r"<!-- (\w+) -->\n(.*?)\n?<!-- end -->", old, re.S):
        page = written(page, section, text)
    return page + old[old.index(BEFORE) :] if BEFORE in old else page


def _grid_runs(runs: int) -> int:
    return max(2 * runs // 5, 1)


def _tally(python: str | None, cell: Cell, runs: int) -> Tally:
    return tally(cell, runs, partial(baselines, python))


DOCTOR_RUN = (
    "finetune-doctor is 0.2.2 on a `trainer_state.json` with the curves of the run and a training loss that falls to "
    "nearly nothing: as it comes, and told to go by accuracy."
)
BEFORE = "## The cells of before"
TEMPLATE = Path(__file__).with_name("verdict.template.md").read_text(encoding="utf-8")
BEFORE_TEMPLATE = Path(__file__).with_name("verdict_before.template.md").read_text(encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page, or some of its sections anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(*SECTIONS, "before"), nargs="*", default=(*SECTIONS, "before"))
    parser.add_argument("--runs", type=int, help="runs of each row; by default as on the page")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--finetune-doctor", metavar="PYTHON", help="an interpreter that has finetune-doctor 0.2.2")
    parser.add_argument("--keep", type=Path, help="folder in which judged worlds are kept, so that a study resumes")
    parser.add_argument("--out", type=Path, default=Path("docs/results/verdict.md"))
    options = parser.parse_args(argv)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    means = Means(options.keep, options.finetune_doctor)
    for section in options.only:
        page = with_tables(options.out.read_text(encoding="utf-8") if options.out.is_file() else "")
        if section == "before":
            from studies.foresight import record

            upper = page[: page.index(BEFORE)] if BEFORE in page else page
            page = upper + cells_of_before(options.runs or 1000, options.processes, means.python, record)
        else:
            make, runs = SECTIONS[section]
            page = written(page, section, make(options.runs or runs, means))
        options.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
