"""Learning curves from a trainer's log in any supported format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from overmem.errors import BadRequest
from overmem.store.logs.curves import LogContext, LogCurves, curves_of_set, token_accuracies
from overmem.store.logs.discovery import RunLog, folders_with_logs, logs_of
from overmem.store.logs.evaluations import (
    CHOSEN_ACCURACY,
    CHOSEN_NLL,
    Evaluation,
    Names,
    Timeline,
    merged_by_step,
    refuse_unknown,
    timeline_of,
    without_reloaded,
)
from overmem.store.logs.files import printable
from overmem.store.logs.formats.trainer_state import step_in
from overmem.store.logs.metrics import DIRECTIONS, metric_of
from overmem.store.logs.missing import MAX_LISTED, no_curves_message, unrecognized_metrics
from overmem.store.logs.rows import clean
from overmem.store.logs.training_loss import not_nll

HELD_OUT = ("val", "dev", "test")
"""Words in names of evaluation sets: the verdict is preferably on one with the first of them."""


@dataclass(frozen=True)
class LogOptions:
    """The user's options for reading a log; see `read_log`."""

    nll: str
    accuracy: str
    lower_is_better: bool
    run: str
    evaluation_set: str

    @property
    def names(self) -> Names:
        """The metrics that the user named."""
        return Names(self.nll, self.accuracy)


def read_log(
    root: Path, *, nll: str = "", accuracy: str = "", lower_is_better: bool = False, run: str = "", eval_set: str = ""
) -> LogCurves:
    """The learning curves of a run, from the log in the folder `root` or from the file `root`.

    Args:
        root: the folder or file.
        nll: name of the evaluation loss; empty for the usual names.
        accuracy: name of the accuracy of answers; empty for the usual names.
        lower_is_better: whether the metric named by `accuracy` falls as the model gets better.
        run: name of the run; required if the folder or file contains several.
        eval_set: the evaluation set that the verdict is on; by default chosen by name and content.

    Raises:
        BadRequest: no evaluation was logged, there is none of that name, or the log contains several runs.
    """
    return _read(root, LogOptions(nll, accuracy, lower_is_better, run, eval_set))


def _read(root: Path, options: LogOptions) -> LogCurves:
    names = options.names
    logged: dict[str, str] = {}
    unusable: list[str] = []
    notes: list[str] = []
    for runs in logs_of(root):
        notes += [note for log in runs for note in log.notes if note not in notes]
        timelines = [(log, timeline_of(log.parts, names)) for log in runs if log.parts]
        for _, timeline in timelines:
            logged |= timeline.logged
        judgeable = [(log, timeline) for log, timeline in timelines if _is_judgeable(timeline, names)]
        if judgeable:
            log, timeline = _select_run(judgeable, options, root)
            return _curves_of_run(log, timeline, options, notes)
        unusable += [clean(part.path.name) for log, _ in timelines for part in log.parts]
    if root.is_dir() and not logged:
        return _read_subfolder(root, options, notes, unusable)
    if logged:
        refuse_unknown(names, logged, printable(root))
    raise BadRequest(no_curves_message(root, unusable, logged, notes))


def _is_judgeable(timeline: Timeline, names: Names) -> bool:
    """Whether there is an evaluation, and one of each metric that the user named."""
    evaluated = {metric for rows in timeline.sets.values() for e in rows for metric in e.values}
    if (names.accuracy and CHOSEN_ACCURACY not in evaluated) or (names.nll and CHOSEN_NLL not in evaluated):
        return False
    return bool(_held_out_sets(timeline))


def _held_out_sets(timeline: Timeline) -> dict[str, list[Evaluation]]:
    """The evaluation sets other than the training rows."""
    return {name: rows for name, rows in timeline.sets.items() if name not in ("train", "training")}


def _select_run(
    judgeable: Sequence[tuple[RunLog, Timeline]], options: LogOptions, root: Path
) -> tuple[RunLog, Timeline]:
    """The run that the user named, or the only one."""
    by_name = {log.name: (log, timeline) for log, timeline in judgeable}
    if options.run:
        if options.run not in by_name:
            raise BadRequest(
                f"no run {clean(options.run)!r} in the logs of {printable(root)}; allowed: {', '.join(sorted(by_name))}"
            )
        return by_name[options.run]
    if len(judgeable) > 1:
        listed = ", ".join(sorted(by_name)[:MAX_LISTED])
        raise BadRequest(
            f"{printable(root)} holds the logs of {len(judgeable)} runs: {listed}. Name one: "
            f"--log-run {sorted(by_name)[0]}"
        )
    return judgeable[0]


def _read_subfolder(root: Path, options: LogOptions, notes: Sequence[str], unusable: Sequence[str]) -> LogCurves:
    """The log of the only run in the subfolders of `root`."""
    folders = folders_with_logs(root)
    if len(folders) == 1:
        curves = _read(folders[0], options)
        where = clean(folders[0].relative_to(root).as_posix())
        note = f"The log of {where} was read, the only one in the subfolders."
        return replace(curves, warnings=(note, *curves.warnings))
    if folders:
        listed = ", ".join(clean(f.relative_to(root).as_posix()) for f in folders[:MAX_LISTED])
        raise BadRequest(
            f"{printable(root)} holds the logs of {len(folders)} runs: {listed}. Name one: "
            f"overmem diagnose {printable(folders[0])}"
        )
    raise BadRequest(no_curves_message(root, unusable, {}, notes))


def _curves_of_run(log: RunLog, timeline: Timeline, options: LogOptions, notes: Sequence[str]) -> LogCurves:
    """The curves of the evaluation set that the verdict is on, with those of the others."""
    sets = _held_out_sets(timeline)
    order = sorted(sets, key=lambda name: _preference(name, sets[name], timeline))
    if options.evaluation_set:
        if options.evaluation_set not in sets:
            allowed = ", ".join(map(repr, order))
            raise BadRequest(f"no evaluation set {clean(options.evaluation_set)!r} in the log; allowed: {allowed}")
        order.remove(options.evaluation_set)
        order.insert(0, options.evaluation_set)
    chosen = metric_of(options.accuracy) if options.accuracy else None
    if chosen and len(order) > 1 and all(e.values.keys() == {chosen.name} for e in sets.get(chosen.evaluation_set, [])):
        order = [name for name in order if name != chosen.evaluation_set]  # nothing but the metric that was named
    named = [e for e in sets.get("", []) if CHOSEN_NLL in e.values or CHOSEN_ACCURACY in e.values]
    if named and order[0] != "":  # the metrics that the user named belong to the set that the verdict is on
        sets = sets | {order[0]: sets[""] + sets[order[0]]}
    main, *rest = (_curves_of_one_set(name, sets[name], log, timeline, options) for name in order)
    others = tuple(curves for curves in rest if np.isfinite(curves.nll).sum() > 1)
    remarks = [*notes, *timeline.notes]
    asked_about = [c for c in rest if c.metric and not np.isfinite(c.nll).any() and not main.metric]
    if len(rest) > len(asked_about):
        unclear = {c.evaluation_set for c in asked_about}
        first, *more = (repr(name or "eval") for name in order if name not in unclear)
        follow = "; a sentence on each of the others follows" if others else ""
        remarks.append(f"The trainer evaluated on {_listed([first, *more])}. The verdict is on {first}{follow}.")
    if timeline.nan_from is not None:
        remarks.append(f"The training loss is not a number from step {timeline.nan_from:,} on.")
    warnings = (*remarks, *main.warnings, *unrecognized_metrics(main, timeline, rest))
    return replace(main, others=others, warnings=warnings)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _preference(name: str, rows: Sequence[Evaluation], timeline: Timeline) -> tuple[object, ...]:
    """Sort key by which the set for the verdict comes first."""
    keys = {k for e in rows for k in e.values}
    kinds = {DIRECTIONS[k].kind for k in keys if k in DIRECTIONS}
    held_out = next((i for i, word in enumerate(HELD_OUT) if word in name.lower()), len(HELD_OUT))
    by_callback = name in timeline.callback_sets
    return (
        not ("nll" in kinds or "perplexity" in kinds or CHOSEN_NLL in keys),
        CHOSEN_ACCURACY not in keys,
        not ("accuracy" in kinds and by_callback),
        name != "" and not by_callback,
        "accuracy" not in kinds,
        name != "",
        held_out,
        name,
    )


def _curves_of_one_set(
    name: str, rows: list[Evaluation], log: RunLog, timeline: Timeline, options: LogOptions
) -> LogCurves:
    part = log.parts[0]
    best = next((p.best_step for p in log.parts if p.best_step is not None), None)
    kept, reload_note = without_reloaded(rows, best)
    evaluations, repeated = merged_by_step(kept)
    folder = part.path.parent
    if folder.name.startswith("checkpoint-") and step_in(folder.name) is not None:
        folder = folder.parent
    context = LogContext(
        path=part.path,
        folder=folder,
        best_step=best,
        cumulative_rates=_cumulative([e.step for e in evaluations], timeline.rates),
        by_callback=name in timeline.callback_sets,
        sizes={metric: n for (of, metric), n in timeline.sizes.items() if of == name},
        lower_is_better=options.lower_is_better,
        unit=timeline.unit,
    )
    of_preferences = any("rewards/" in key for key in timeline.logged)
    if of_preferences:  # its loss compares answers; an nll may have been logged with it, of the chosen ones
        for e in evaluations:
            e.values.pop("loss", None)
    curves = curves_of_set(name, evaluations, context)
    notes = [reload_note] if reload_note else []
    if repeated:
        steps = ", ".join(map(str, repeated[:5]))
        notes.append(f"Evaluated more than once at step {steps} (a resumed run?); the last value was taken.")
    has_nll = any("nll" in e.values for e in evaluations)
    other_losses = not_nll(context.folder, curves.nll, token_accuracies(evaluations), is_plain=has_nll)
    if of_preferences:
        notes.insert(
            0,
            "The log is of preference or reward training (it has rewards), whose eval_loss is not nll, so it was not "
            "used. Audit the checkpoints instead.",
        )
    warnings = (*notes, *other_losses, *curves.warnings)
    return replace(curves, is_nll=curves.is_nll and not (other_losses or of_preferences), warnings=warnings)


def _cumulative(evaluated: Sequence[int], rates: Mapping[int, float]) -> dict[int, float]:
    """Learning rates summed over the steps up to each evaluation; a rate holds for the steps since the last entry."""
    if not rates:
        return {}
    total, previous, rate = 0.0, 0, rates[min(rates)]
    sums = {}
    for step in sorted({*evaluated, *rates}):
        rate = rates.get(step, rate)
        total += rate * (step - previous)
        previous = step
        sums[step] = total
    return {step: sums[step] for step in evaluated}
