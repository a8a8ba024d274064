"""The verdict so far, to the trackers that the training logs to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overmem.callback.judge import RunningVerdict
from overmem.records import Snapshot
from overmem.tracking import TRACKERS, TrackedVerdict
from overmem.tracking.record import Row, changed_examples, examples_table
from overmem.wording.headline import headline
from overmem.wording.markdown import escaped
from overmem.wording.sentences import verdict_sentences


def trackers_of(arguments: Any, chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    """The trackers to log to: the chosen ones, else those of the Trainer's `report_to` that overmem knows."""
    return tuple(name for name in arguments.report_to or () if name in TRACKERS) if chosen is None else chosen


def folder_of(arguments: Any) -> Path:
    """Where event files of the verdict go: inside of the Trainer's own logging folder."""
    return Path(getattr(arguments, "logging_dir", None) or arguments.output_dir) / "overmem" / "tensorboard"


def live_verdict(running: RunningVerdict, snapshots: Sequence[Snapshot], folder: Path) -> TrackedVerdict:
    """The verdict so far and the val questions that changed between the best and the newest checkpoint.

    Curves are left out: the Trainer logs the metrics of every measurement itself.
    """
    assessment, newest = running.assessment, snapshots[-1]
    best = next((s for s in snapshots if s.checkpoint.name == assessment.best_of_run), None)
    words = {"regime": assessment.regime, "best_of_run": assessment.best_of_run or "", "warning": running.warning}
    facts: dict[str, str | float] = {f"overmem/{name}": text for name, text in words.items() if text}
    if assessment.onset is not None and assessment.onset.step.value is not None:
        facts["overmem/onset_step"] = assessment.onset.step.value
    columns: Row = ()
    rows: tuple[Row, ...] = ()
    if best is not None and best is not newest and "val" in best.samples and "val" in newest.samples:
        changed = changed_examples("val", newest.examples["val"], best.samples["val"], newest.samples["val"])
        columns, rows = examples_table(changed, best.checkpoint.name, newest.checkpoint.name)
    lines = [f"### {escaped(headline(assessment))}", "", *(f"- {escaped(s)}" for s in verdict_sentences(assessment))]
    return TrackedVerdict(
        name=folder.parents[1].name,
        folder=folder,
        step=newest.checkpoint.step,
        text="\n".join(lines) + "\n",
        summary=facts,
        columns=columns,
        examples=rows,
    )
