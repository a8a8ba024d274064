"""The paths in a run directory."""

import re
from dataclasses import dataclass
from pathlib import Path

from overmem.errors import BadRequest

FINAL = "final"
"""Name of a model in the run's folder itself."""
HOME = "overmem"
"""Folder in a run with overmem's files."""


@dataclass(frozen=True)
class Run:
    """A trainer's output directory, and the folder with overmem's files."""

    root: Path
    """The trainer's output directory."""
    home: Path
    """The folder with overmem's files."""

    @property
    def recipe_path(self) -> Path:
        """The recipe of `train`: always inside the run, even if --out puts the other files elsewhere."""
        return self.root / HOME / "recipe.yaml"

    @property
    def reference_path(self) -> Path:
        """The base model's logprobs of the training labels, for losses that need them."""
        return self.home / "reference.parquet"

    @property
    def plan_path(self) -> Path:
        """The plan of `audit`, with versions and hashes."""
        return self.home / "plan.json"

    @property
    def queue_path(self) -> Path:
        """What a worker needs to know to observe the plan's units."""
        return self.home / "queue.json"

    @property
    def worker_logs_path(self) -> Path:
        """Folder of what the workers print."""
        return self.home / "workers"

    @property
    def measurements_path(self) -> Path:
        """The table of measurements."""
        return self.home / "measurements.parquet"

    @property
    def verdict_path(self) -> Path:
        """The verdict of `diagnose`."""
        return self.home / "verdict.json"

    @property
    def search_path(self) -> Path:
        """The result of `merge --search`; what it observed lies in the folder `search`."""
        return self.home / "search.json"

    @property
    def report_path(self) -> Path:
        """The page written by `report`."""
        return self.home / "report.html"

    @property
    def recommended_path(self) -> Path:
        """The checkpoint that the callback recommends so far."""
        return self.home / "recommended.json"

    @property
    def kept_path(self) -> Path:
        """Folder with the callback's copy of the checkpoint it recommends, which the trainer does not rotate."""
        return self.home / "kept"

    def examples_path(self, split: str) -> Path:
        """The examples of one split."""
        return self.home / "examples" / f"{split}.parquet"

    @property
    def shown_path(self) -> Path:
        """One example as the model reads it, token by token."""
        return self.home / "shown.json"

    @property
    def token_texts_path(self) -> Path:
        """The text of every token of the reference solutions; in schema 1 the file is `pieces.parquet`."""
        old, new = self.home / "pieces.parquet", self.home / "token_texts.parquet"
        return old if old.is_file() and not new.is_file() else new

    def unit_path(self, checkpoint: str, split: str, kind: str) -> Path:
        """One unit of work; `kind` is `scores`, `samples` or `grades`."""
        return self.home / "observations" / checkpoint / f"{split}.{kind}.parquet"

    def lease_path(self, checkpoint: str, split: str) -> Path:
        """Which worker observes one split of one checkpoint now."""
        return self.home / "observations" / checkpoint / f".{split}.lease"

    def holds_itself(self, checkpoint: str) -> bool:
        """Whether this checkpoint is the model in the run's own folder: a final one without a separate folder."""
        return checkpoint == FINAL and next(self.root.glob("*.safetensors"), None) is not None

    def failure_path(self, checkpoint: str) -> Path:
        """Why a checkpoint could not be observed."""
        return self.home / "observations" / checkpoint / "failed.json"


def open_run(root: Path | str, out: Path | str | None = None) -> Run:
    """The run at `root`, a folder or a log in it, with overmem's files in `root/overmem` or `out`.

    Raises:
        BadRequest: `root` is not a folder.
    """
    root = Path(root)
    if root.is_file():  # a log
        root = root.parent.parent if re.fullmatch(r"checkpoint-\d+", root.parent.name) else root.parent
    if root.is_dir() and not (root / HOME).is_dir() and (version := _only_version(root)) is not None:
        root = version
    if not root.is_dir():
        raise BadRequest(
            f"no run at {str(root)!r}: there is no such folder or file; "
            "allowed: a folder with checkpoint-<step> folders, or a trainer's log"
        )
    return Run(root, Path(out) if out is not None else root / HOME)


def run_names(runs: tuple[Run, Run]) -> tuple[str, str]:
    """Names of the folders of two runs, with the parent folder if the names are equal."""
    a, b = (run.root.resolve() for run in runs)
    return (a.name, b.name) if a.name != b.name else (f"{a.parent.name}/{a.name}", f"{b.parent.name}/{b.name}")


def _only_version(root: Path) -> Path | None:
    """The one `v0-<date>` folder of an ms-swift output that holds checkpoints; None where there is none, or several."""
    if next(root.glob("checkpoint-*"), None) is not None:
        return None
    versions = [p for p in root.glob("v*-*") if p.is_dir() and next(p.glob("checkpoint-*"), None) is not None]
    return versions[0] if len(versions) == 1 else None
