"""What every verb is killed in: folders with a tiny model, made once, and the command that is run in a copy of them."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.forked import Ended, run_forked

ROWS = [
    {"question": f"What is {a} plus {b}?", "solution": f"{a} + {b} = {a + b}\n#### {a + b}"}
    for a in range(7)
    for b in range(7)
]
RECIPE = {
    "output": "run",
    "model": "base",
    "data": {"source": "sums.jsonl", "train": 24, "val": 8, "test": 8},
    "loss": "rho",  # one that needs the base model's log probabilities, a file of its own
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "observe_rows": 4,
}
SWEEP = {
    "output": "rates",
    "recipe": {**{k: v for k, v in RECIPE.items() if k != "output"}, "epochs": 1, "loss": "nll"},
    "vary": {"learning_rate": [1e-3, 1e-2]},
    "seeds": 1,
    "audit": {"rows": 4, "side_rows": 4, "max_new_tokens": 4},
    "keep": "recommended",
}
AUDIT = (
    "audit",
    "run",
    "--rows",
    "6",
    "--side-rows",
    "4",
    "--max-new-tokens",
    "6",
    "--draws",
    "1",
    "--shifts",
    "typos",
)
Apart = Callable[[Callable[[], object], Path], None]
"""Runs a function in a process of its own, in a folder, and raises where it fails."""


@dataclass(frozen=True)
class Scene:
    """A verb, and the folder that it is run in."""

    stage: str
    """Name of the folder that is copied."""
    command: tuple[str, ...]
    runs: int = 1
    """How often the command is run until its files stay as they are: a verdict names what was pruned before it."""
    before: Callable[[], object] = lambda: None
    """Called in the command's process first."""

    def run(self) -> None:
        """The command, in this process; raises SystemExit."""
        self.before()
        run_command(self.command)


def _recommend_any_merge() -> None:
    """Let a search write its winner although a tiny model's merges are not shown to be better."""
    from overmem.search import decision

    decision.judged = lambda *arguments: (True, ("shown to be more accurate",))


SCENES = {
    "train": Scene("empty", ("train", "recipe.yaml")),
    "audit": Scene("trained", AUDIT),
    "worker": Scene("planned", ("worker", "run", "--finish")),
    "diagnose": Scene("measured", ("diagnose", "run")),
    "report": Scene("judged", ("report", "run")),
    "merge": Scene(
        "trained", ("merge", "run", "--checkpoints", "checkpoint-3", "checkpoint-9", "--shard-bytes", "4000")
    ),
    "search": Scene(
        "judged", ("merge", "run", "--search", "--finalists", "2", "--device", "cpu"), before=_recommend_any_merge
    ),
    "prune": Scene("memorized", ("diagnose", "run", "--prune", "--yes"), runs=2),
    "sweep": Scene("empty", ("sweep", "sweep.yaml")),
}
"""Every verb that is killed. All paths are relative to the folder."""


def stages_in(home: Path, make: Callable[[Path, Path, Apart], None]) -> Path:
    """The folder of the stages in `home`, which `make` makes there the first time."""
    stages, making = home / "stages", home / "making"
    if not stages.is_dir():
        shutil.rmtree(making, ignore_errors=True)
        make(making, home / "work", run_apart)
        making.rename(stages)
    return stages


def run_apart(work: Callable[[], object], folder: Path) -> Ended:
    """Run something in a process of its own that nobody kills; raises SystemExit where it fails."""
    return checked(run_forked(work, folder))


def checked(ended: Ended) -> Ended:
    """The process, if it did what it should."""
    if ended.code != 0 or ended.has_traceback:
        raise SystemExit(f"a command that nobody killed exits with {ended.code}:\n{ended.words}")
    return ended


def make_stages(home: Path, work: Path, apart: Apart) -> None:
    """Every folder that a scene starts from.

    Args:
        home: where they go.
        work: the folder that commands are run in later: plans hold absolute paths.
        apart: runs each step, so that this process starts no threads.
    """
    empty, trained, measured = home / "empty", home / "trained", home / "measured"
    empty.mkdir(parents=True)
    (empty / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (empty / "recipe.yaml").write_text(json.dumps(RECIPE))  # JSON is YAML
    (empty / "sweep.yaml").write_text(json.dumps(SWEEP))
    apart(_save_base, empty)
    shutil.copytree(empty, trained)
    apart(lambda: run_command(("train", "recipe.yaml")), trained)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(trained, work)
    apart(lambda: run_command(AUDIT), work)
    judged = work.rename(home / "judged")
    (judged / "run" / "overmem" / "report.html").unlink()
    shutil.copytree(judged, measured)
    (measured / "run" / "overmem" / "verdict.json").unlink()
    planned = shutil.copytree(measured, home / "planned")
    shutil.rmtree(planned / "run" / "overmem" / "observations")
    (planned / "run" / "overmem" / "measurements.parquet").unlink()
    memorized = home / "memorized" / "run"
    memorized.mkdir(parents=True)
    apart(_write_memorized, memorized)
    for folder in sorted(memorized.glob("checkpoint-*")):
        shutil.copytree(trained / "run" / "checkpoint-3", folder, dirs_exist_ok=True)


def run_command(arguments: Sequence[str]) -> None:
    """The command, in this process; raises SystemExit."""
    from overmem.cli import main

    main(list(arguments))


def _save_base() -> None:
    from tests.conftest import _byte_tokenizer, save_tiny_llama

    save_tiny_llama("base", _byte_tokenizer(), max_position_embeddings=128)


def _write_memorized() -> None:
    """A simulated run with folders of checkpoints of which most may be pruned."""
    from studies.trajectories import World
    from tests.verdict.conftest import write_planted_run

    write_planted_run(Path(), World(n=200, checkpoints=6, discordance=0.04), base=0.3)
