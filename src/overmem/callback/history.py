"""The measurements of one training in time order: judged as they arrive, and written where an audit reads them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from overmem import store
from overmem.callback.config import CallbackConfig
from overmem.callback.evaluation_set import EvaluationSet
from overmem.callback.judge import judge_run
from overmem.callback.live import live_verdict
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
from overmem.tracking import track

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
    snapshots: list[Snapshot] = field(default_factory=list)
    saved: set[str] = field(default_factory=set)
    """Names of checkpoints whose weights are, or were, on disk."""
    warned: bool = False
    trackers: tuple[str, ...] = ()
    """Trackers that get the verdict so far at every measurement."""
    tracked_in: Path = Path()
    """Where a tracker that writes files puts them."""
    _said: set[str] = field(default_factory=set)

    def open(self, root: Path, step: int) -> None:
        """Open the run at `root` and read its observations up to `step` that were made with the same options."""
        root.mkdir(parents=True, exist_ok=True)
        self.run = store.open_run(root)
        snapshots = earlier_snapshots(self.run, self.evaluation, step, answers=self.config.answers)
        if step == 0 and not (
            self.evaluation.base and is_base_measured(self.run, self.evaluation, answers=self.config.answers)
        ):
            snapshots = []  # the base has to be measured again
        self.snapshots = snapshots
        self.saved = {snapshot.checkpoint.name for snapshot in snapshots}
        self._write(lambda run: write_plan(run, self.config, self.evaluation, [s.checkpoint for s in snapshots]))

    def snapshot_at(self, step: int) -> Snapshot | None:
        """The snapshot of this step, if it is the newest; None otherwise."""
        return self.snapshots[-1] if self.snapshots and self.snapshots[-1].checkpoint.step == step else None

    def add(self, snapshot: Snapshot) -> bool:
        """Add a measurement, warn once at the onset, and return whether training should stop."""
        self.snapshots.append(snapshot)
        if len(self.snapshots) < 2:
            return False
        verdict = judge_run(self.snapshots, self.config)
        if verdict.warning and not self.warned:
            self.say(verdict.warning)
            self.warned = True
        if self.trackers:
            so_far = live_verdict(verdict, self.snapshots, self.tracked_in)
            failed = track(so_far, self.trackers, self._say_once)
            self.trackers = tuple(name for name in self.trackers if name not in failed)
        return self.config.stop and verdict.stops

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self.say(line)
        self._said.add(line)

    def save(self, step: int) -> None:
        """Write the measurement of `step`, whose weights are on disk now, and protect the best checkpoint so far."""
        snapshot = self.snapshot_at(step)
        name = f"checkpoint-{step}" if step else BASE.name
        if self.run is None or snapshot is None:
            return
        path = str(self.run.root / name) if step else self.evaluation.base
        if path is None or (step and not Path(path).is_dir()):
            return
        try:
            weights = fingerprint(path, self.evaluation.base)
        except BadCheckpoint as error:
            self.say(f"{name} was measured, but its observations are not saved: {error}")
            return
        snapshot = replace(snapshot, checkpoint=checkpoint_on_disk(self.run, name) if step else BASE)
        self.snapshots[-1] = snapshot
        self.saved.add(name)
        self._write(lambda run: self._write_checkpoint(run, snapshot, weights))

    def close(self) -> None:
        """Restore the kept checkpoint if the Trainer has deleted it."""
        if self.run is not None and self.config.keep:
            restore_kept(self.run)

    def _write_checkpoint(self, run: store.Run, snapshot: Snapshot, weights: str) -> None:
        write_units(run, snapshot, weights, self.evaluation)
        checkpoints = [s.checkpoint for s in self.snapshots if s.checkpoint.name in self.saved]
        write_plan(run, self.config, self.evaluation, checkpoints)
        if self.config.keep and len(self.snapshots) > 1:
            on_disk = {c.name for c in checkpoints if (run.root / c.name).is_dir() or (run.kept_path / c.name).is_dir()}
            verdict = judge_run(self.snapshots, self.config, on_disk)
            if verdict.best is not None:
                keep(run, verdict.best, snapshot.checkpoint.step, is_recommended=verdict.recommended is not None)

    def _write(self, write: Callable[[store.Run], None]) -> None:
        if self.run is None:
            return
        try:
            with store.locked(self.run):
                write(self.run)
        except (Locked, OSError) as error:  # a full disk must not end the training
            self.say(f"observations not written this time: {error}")
