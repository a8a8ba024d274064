"""The measurements of one training in time order: judged as they arrive, and written where an audit finds them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from overmem import store
from overmem.callback.config import CallbackConfig
from overmem.callback.evaluation_set import EvaluationSet
from overmem.callback.judge import judged
from overmem.callback.run_files import (
    checkpoint_on_disk,
    earlier_snapshots,
    is_base_measured,
    keep,
    restore_kept,
    write_plan,
    write_units,
)
from overmem.errors import BadCheckpoint, Locked
from overmem.models.files import fingerprint
from overmem.records import Checkpoint, Snapshot

BASE = Checkpoint("base", 0, 0.0, 0.0)
"""The model before its first step."""


@dataclass
class EvaluationHistory:
    """The measurements of one training so far."""

    config: CallbackConfig
    evaluation: EvaluationSet
    say: Callable[[str], None]
    run: store.Run | None = None
    """Where observations are written; None to write nothing."""
    observed: list[Snapshot] = field(default_factory=list)
    saved: set[str] = field(default_factory=set)
    """Names of checkpoints whose weights are, or were, on disk."""
    warned: bool = False

    def open(self, root: Path, step: int) -> None:
        """Continue in the run at `root` from the observations up to `step` that were made with the same options."""
        root.mkdir(parents=True, exist_ok=True)
        self.run = store.open_run(root)
        observed = earlier_snapshots(self.run, self.evaluation, step, answers=self.config.answers)
        if step == 0 and not (
            self.evaluation.base and is_base_measured(self.run, self.evaluation, answers=self.config.answers)
        ):
            observed = []
        self.observed = observed
        self.saved = {snapshot.checkpoint.name for snapshot in observed}
        self._write(lambda run: write_plan(run, self.config, self.evaluation, [s.checkpoint for s in observed]))

    def at(self, step: int) -> Snapshot | None:
        """The measurement of this step; None if there is none."""
        return self.observed[-1] if self.observed and self.observed[-1].checkpoint.step == step else None

    def add(self, snapshot: Snapshot) -> bool:
        """Add a measurement and warn at the onset, once. Returns whether training should stop."""
        self.observed.append(snapshot)
        if len(self.observed) < 2:
            return False
        verdict = judged(self.observed, self.config)
        if verdict.warning and not self.warned:
            self.say(verdict.warning)
            self.warned = True
        return self.config.stop and verdict.stops

    def save(self, step: int) -> None:
        """Write the measurement of `step`, now that its weights are on disk, and keep the best checkpoint so far."""
        snapshot = self.at(step)
        name = f"checkpoint-{step}" if step else BASE.name
        if self.run is None or snapshot is None:
            return
        path = str(self.run.root / name) if step else self.evaluation.base
        if path is None or (step and not Path(path).is_dir()):
            return
        try:
            weights = fingerprint(path, self.evaluation.base)
        except BadCheckpoint as error:
            self.say(f"{name} was measured, but its observations are not kept: {error}")
            return
        snapshot = replace(snapshot, checkpoint=checkpoint_on_disk(self.run, name) if step else BASE)
        self.observed[-1] = snapshot
        self.saved.add(name)
        self._write(lambda run: self._written(run, snapshot, weights))

    def close(self) -> None:
        """Restore the kept checkpoint if the Trainer has deleted it."""
        if self.run is not None and self.config.keep:
            restore_kept(self.run)

    def _written(self, run: store.Run, snapshot: Snapshot, weights: str) -> None:
        write_units(run, snapshot, weights, self.evaluation)
        checkpoints = [s.checkpoint for s in self.observed if s.checkpoint.name in self.saved]
        write_plan(run, self.config, self.evaluation, checkpoints)
        if self.config.keep and len(self.observed) > 1:
            on_disk = {c.name for c in checkpoints if (run.root / c.name).is_dir() or (run.kept_path / c.name).is_dir()}
            verdict = judged(self.observed, self.config, on_disk)
            if verdict.best is not None:
                keep(run, verdict.best, snapshot.checkpoint.step, is_recommended=verdict.recommended is not None)

    def _write(self, work: Callable[[store.Run], None]) -> None:
        if self.run is None:
            return
        try:
            with store.locked(self.run):
                work(self.run)
        except (Locked, OSError) as error:  # a full disk must not end the training
            self.say(f"observations not written this time: {error}")
