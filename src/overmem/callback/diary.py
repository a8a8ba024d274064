"""The measurements of one training in time order: judged as they come, and written where an audit finds them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from overmem import store
from overmem.callback.judge import judged
from overmem.callback.record import base_stands, earlier, keep, placed, put_back, write_plan, write_units
from overmem.callback.watch import CallbackConfig, EvaluationSet
from overmem.errors import BadCheckpoint, Locked
from overmem.models.files import fingerprint
from overmem.records import Checkpoint, Snapshot

BASE = Checkpoint("base", 0, 0.0, 0.0)
"""The model before its first step."""


@dataclass
class EvaluationHistory:
    """What was measured so far in one training."""

    watch: CallbackConfig
    plan: EvaluationSet
    say: Callable[[str], None]
    run: store.Run | None = None
    """Where it is written down; None where nothing is to be."""
    observed: list[Snapshot] = field(default_factory=list)
    saved: set[str] = field(default_factory=set)
    """Names of those whose weights are, or were, on disk."""
    warned: bool = False

    def open(self, root: Path, step: int) -> None:
        """Go on in the run at `root` from what was observed up to `step`, as far as it was asked as it is now."""
        root.mkdir(parents=True, exist_ok=True)
        self.run = store.open_run(root)
        stands = earlier(self.run, self.plan, step, answers=self.watch.answers)
        if step == 0 and not (self.plan.base and base_stands(self.run, self.plan, answers=self.watch.answers)):
            stands = []
        self.observed = stands
        self.saved = {snapshot.checkpoint.name for snapshot in stands}
        self._write(lambda run: write_plan(run, self.watch, self.plan, [s.checkpoint for s in stands]))

    def at(self, step: int) -> Snapshot | None:
        """What was measured at this step."""
        return self.observed[-1] if self.observed and self.observed[-1].checkpoint.step == step else None

    def add(self, snapshot: Snapshot) -> bool:
        """Take a measurement in, warn at the onset, once; returns whether training should stop."""
        self.observed.append(snapshot)
        if len(self.observed) < 2:
            return False
        found = judged(self.observed, self.watch)
        if found.warning and not self.warned:
            self.say(found.warning)
            self.warned = True
        return self.watch.stop and found.stops

    def save(self, step: int) -> None:
        """Write down what was measured at `step`, now that its weights are on disk; and keep the one to ship."""
        snapshot = self.at(step)
        name = f"checkpoint-{step}" if step else BASE.name
        if self.run is None or snapshot is None:
            return
        path = str(self.run.root / name) if step else self.plan.base
        if path is None or (step and not Path(path).is_dir()):
            return
        try:
            weights = fingerprint(path, self.plan.base)
        except BadCheckpoint as error:
            self.say(f"{name} was measured, but is not kept for an audit: {error}")
            return
        snapshot = replace(snapshot, checkpoint=placed(self.run, name) if step else BASE)
        self.observed[-1] = snapshot
        self.saved.add(name)
        self._write(lambda run: self._written(run, snapshot, weights))

    def close(self) -> None:
        """Put the kept checkpoint back where the Trainer has deleted it."""
        if self.run is not None and self.watch.keep:
            put_back(self.run)

    def _written(self, run: store.Run, snapshot: Snapshot, weights: str) -> None:
        write_units(run, snapshot, weights, self.plan)
        checkpoints = [s.checkpoint for s in self.observed if s.checkpoint.name in self.saved]
        write_plan(run, self.watch, self.plan, checkpoints)
        if self.watch.keep and len(self.observed) > 1:
            here = {c.name for c in checkpoints if (run.root / c.name).is_dir() or (run.kept_path / c.name).is_dir()}
            choice = judged(self.observed, self.watch, here).recommended
            if choice is not None:
                keep(run, choice, snapshot.checkpoint.step)

    def _write(self, work: Callable[[store.Run], None]) -> None:
        if self.run is None:
            return
        try:
            with store.locked(self.run):
                work(self.run)
        except (Locked, OSError) as error:  # a disk that is full must not end the training
            self.say(f"not kept for an audit this time: {error}")
