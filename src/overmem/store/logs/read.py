"""Learning curves from a trainer's log in any supported format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from overmem.errors import BadRequest
from overmem.store.logs.curves import Logged, Source, curves, token_accuracies
from overmem.store.logs.discovery import RunLog, folders_with_logs, logs_of
from overmem.store.logs.evaluations import (
    CHOSEN_ACCURACY,
    CHOSEN_NLL,
    Evaluation,
    Names,
    Timeline,
    merged,
    refuse_unknown,
    timeline,
    without_reloaded,
)
from overmem.store.logs.files import shown
from overmem.store.logs.formats.trainer_state import step_in
from overmem.store.logs.metrics import DIRECTIONS, EPOCHS, RATES, STEPS, fold, metric_of
from overmem.store.logs.rows import clean
from overmem.store.logs.training_loss import not_nll

HELD_OUT = ("val", "dev", "test")
"""Parts of set names, in order of preference, by which the evaluation set of the verdict is chosen."""
_MOST_SHOWN = 30
_NO_METRICS = {
    *(*STEPS, *RATES, *EPOCHS),
    *("loss", "train_loss", "training_loss", "grad_norm", "total_flos", "percentage", "total_steps", "num_tokens"),
    *("num_input_tokens_seen", "train_runtime", "memory", "elapsed_time", "remaining_time"),
}
"""Names that trainers log for training batches only."""
_COUNTS = ("_per_second", "_runtime", "_flos", "_timestamp")


@dataclass(frozen=True)
class Reading:
    """The user's options for reading a log."""

    nll: str = ""
    """Name of the evaluation loss; empty for the usual ones."""
    accuracy: str = ""
    """Name of the accuracy of answers; empty for the usual ones."""
    lower_is_better: bool = False
    """Whether the metric named by `accuracy` falls as the model gets better."""
    run: str = ""
    """Which run, if a folder or file contains several."""
    evaluation_set: str = ""
    """Which of several evaluation sets the verdict is on."""


def read_logged(
    root: Path, *, nll: str = "", accuracy: str = "", lower_is_better: bool = False, run: str = "", eval_set: str = ""
) -> Logged:
    """The curves of the folder (or file) `root`.

    Args:
        root: where they are looked for.
        nll: name of the evaluation loss in them; empty for the usual ones.
        accuracy: name of the accuracy of answers in them, likewise.
        lower_is_better: whether the metric named by `accuracy` falls as the model gets better.
        run: which of the runs in one folder or file; needed where there are several.
        eval_set: which of several evaluation sets the verdict is on; by default the one whose name says held-out.

    Raises:
        BadRequest: nothing there can be read as curves with evaluations, or none of that name, or of several runs.
    """
    wanted = Reading(nll, accuracy, lower_is_better, run, eval_set)
    names = Names(nll, accuracy)
    logged: dict[str, str] = {}
    tried: list[str] = []
    notes: list[str] = []
    for runs in logs_of(root):
        notes += [note for log in runs for note in log.notes if note not in notes]
        lines = [(log, timeline(log.parts, names)) for log in runs if log.parts]
        for _, line in lines:
            logged |= line.logged
        judged = [(log, line) for log, line in lines if _judgeable(line, names)]
        tried += [clean(part.path.name) for log, line in lines for part in log.parts if not _judgeable(line, names)]
        if judged:
            log, line = _chosen(judged, wanted, root)
            return _judged(log, line, wanted, root, notes)
    if root.is_dir() and not logged:
        return _below(root, wanted, notes, tried)
    if logged and (nll or accuracy):
        refuse_unknown(names, logged, shown(root))
    raise BadRequest(_nothing(root, tried, logged, notes))


def _judgeable(line: Timeline, names: Names) -> bool:
    if names.accuracy and not any(CHOSEN_ACCURACY in e.values for rows in line.sets.values() for e in rows):
        return False
    if names.nll and not any(CHOSEN_NLL in e.values for rows in line.sets.values() for e in rows):
        return False
    return bool(_held_out_sets(line))


def _held_out_sets(line: Timeline) -> dict[str, list[Evaluation]]:
    """The evaluation sets that are not the training rows and have a loss or an accuracy."""
    known = ("nll", "perplexity", "accuracy", "score", "token accuracy")
    return {
        name: rows
        for name, rows in line.sets.items()
        if name not in ("train", "training")
        and any(k in (CHOSEN_NLL, CHOSEN_ACCURACY) or DIRECTIONS[k].kind in known for e in rows for k in e.values)
    }


def _chosen(judged: Sequence[tuple[RunLog, Timeline]], wanted: Reading, root: Path) -> tuple[RunLog, Timeline]:
    by_name = {log.name: (log, line) for log, line in judged}
    if wanted.run:
        if wanted.run not in by_name:
            raise BadRequest(
                f"no run {clean(wanted.run)!r} in the logs of {shown(root)}; allowed: {', '.join(sorted(by_name))}"
            )
        return by_name[wanted.run]
    if len(judged) > 1:
        listed = ", ".join(sorted(by_name)[:_MOST_SHOWN])
        raise BadRequest(
            f"{shown(root)} holds the logs of {len(judged)} runs: {listed}. Name one: --log-run {sorted(by_name)[0]}"
        )
    return judged[0]


def _below(root: Path, wanted: Reading, notes: Sequence[str], tried: Sequence[str]) -> Logged:
    """The log of the only run in the folders below `root`."""
    folders = folders_with_logs(root)
    if len(folders) == 1:
        logged = _read_again(folders[0], wanted)
        where = clean(folders[0].relative_to(root).as_posix())
        return replace(
            logged, warnings=(f"The log of {where} was read, the only one below this folder.", *logged.warnings)
        )
    if folders:
        listed = ", ".join(clean(f.relative_to(root).as_posix()) for f in folders[:_MOST_SHOWN])
        raise BadRequest(
            f"{shown(root)} holds the logs of {len(folders)} runs: {listed}. Name one: "
            f"overmem diagnose {shown(folders[0])}"
        )
    raise BadRequest(_nothing(root, tried, {}, notes))


def _read_again(folder: Path, wanted: Reading) -> Logged:
    return read_logged(
        folder,
        nll=wanted.nll,
        accuracy=wanted.accuracy,
        lower_is_better=wanted.lower_is_better,
        run=wanted.run,
        eval_set=wanted.evaluation_set,
    )


def _nothing(root: Path, tried: Sequence[str], logged: Mapping[str, str], notes: Sequence[str]) -> str:
    """What to do if no evaluation was logged."""
    text = f"no learning curves in {shown(root)}: "
    pages = [name for name in tried if name.endswith(".md")]  # most hold no table of results
    files = ", ".join(dict.fromkeys(tried if logged else [name for name in tried if name not in pages]))
    names = sorted(name for name in logged if _may_be_a_metric(name))
    if names:
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        text += (
            f"no evaluation (eval_loss or an accuracy) in {files or 'its logs'}, only {', '.join(names[:_MOST_SHOWN])}"
            f"{more}. If one of these is an evaluation, name it: --nll-metric NAME or --accuracy-metric NAME. "
        )
    elif logged:
        text += (
            f"no evaluation (eval_loss or an accuracy) in {files or 'its logs'}, only what is logged of the training "
            f"batches ({', '.join(sorted(logged)[:_MOST_SHOWN])}): the trainer ran without evaluations. "
        )
    elif files:
        text += f"no evaluation in {files}: it holds no entries. "
    else:
        text += (
            "expected trainer_state.json, trainer_log.jsonl, logging.jsonl, a CSV or model-card table with step and "
            "eval_loss, TensorBoard event files, or a text log of torchtune, nanoGPT or mlx-lm. "
        )
    text += f"To measure the checkpoints themselves: overmem audit {shown(root)} --data YOUR_DATA"
    return text + (f" ({' '.join(notes)})" if notes else "")


def _may_be_a_metric(name: str) -> bool:
    return metric_of(name) is not None and fold(name) not in _NO_METRICS and not fold(name).endswith(_COUNTS)


def _judged(log: RunLog, line: Timeline, wanted: Reading, root: Path, notes: Sequence[str]) -> Logged:
    sets = _held_out_sets(line)
    order = sorted(sets, key=lambda name: _preference(name, sets[name], line))
    if wanted.evaluation_set:
        if wanted.evaluation_set not in sets:
            raise BadRequest(
                f"no evaluation set {clean(wanted.evaluation_set)!r} in the log; allowed: {', '.join(map(repr, order))}"
            )
        order.remove(wanted.evaluation_set)
        order.insert(0, wanted.evaluation_set)
    rows_in_order = dict(sets)
    if order and order[0] != "" and any(c in e.values for e in sets.get("", []) for c in (CHOSEN_NLL, CHOSEN_ACCURACY)):
        rows_in_order[order[0]] = sets[""] + sets[order[0]]
    judged = [_one_set(name, rows_in_order[name], log, line, wanted, root) for name in order]
    main, others = judged[0], tuple(j for j in judged[1:] if np.isfinite(j.nll).sum() > 1)
    remarks = [*notes, *line.notes]
    if len(order) > 1:
        *most, final = (f"{_set_name(n)!r}" for n in order)
        names = f"{', '.join(most)} and {final}"
        rest = ", the others follow" if others else ""
        remarks.append(f"The trainer evaluated on {names}; the verdict is on {_set_name(order[0])!r}{rest}.")
    if line.broken_at is not None:
        remarks.append(f"The training loss is not a number from step {line.broken_at:,} on.")
    return replace(main, others=others, warnings=(*remarks, *main.warnings, *_unused(main, line, judged[1:])))


def _set_name(name: str) -> str:
    return name or "eval"


def _preference(name: str, rows: Sequence[Evaluation], line: Timeline) -> tuple[object, ...]:
    """Sort key that puts the set for the verdict first."""
    keys = {k for e in rows for k in e.values}
    kinds = {DIRECTIONS[k].kind for k in keys if k in DIRECTIONS}
    held = next((i for i, word in enumerate(HELD_OUT) if word in name.lower()), len(HELD_OUT))
    return (
        not ("nll" in kinds or "perplexity" in kinds or CHOSEN_NLL in keys),
        CHOSEN_ACCURACY not in keys,
        not ("accuracy" in kinds and name in line.own),
        name != "" and name not in line.own,
        "accuracy" not in kinds,
        name != "",
        held,
        name,
    )


def _one_set(name: str, rows: list[Evaluation], log: RunLog, line: Timeline, wanted: Reading, root: Path) -> Logged:
    part = log.parts[0]
    best = next((p.best_step for p in log.parts if p.best_step is not None), None)
    kept, reloaded = without_reloaded(rows, best)
    evaluations, repeated = merged(kept)
    folder = part.path.parent
    if folder.name.startswith("checkpoint-") and step_in(folder.name) is not None:
        folder = folder.parent
    source = Source(
        path=part.path,
        folder=folder,
        best_step=best,
        cumulative_rates=_cumulative([e.step for e in evaluations], line.rates),
        own=name in line.own,
        sizes={metric: n for (of, metric), n in line.sizes.items() if of == name},
        lower_is_better=wanted.lower_is_better,
        unit=line.unit,
    )
    found = curves(name, evaluations, source)
    notes = [reloaded] if reloaded else []
    if repeated:
        steps = ", ".join(map(str, repeated[:5]))
        notes.append(f"Evaluated more than once at step {steps} (a resumed run?); the last value was taken.")
    plain = any("nll" in e.values for e in evaluations)
    notes += not_nll(source.folder, found.nll, token_accuracies(evaluations), plain)
    if any("rewards/" in key for key in line.logged):
        notes.append(
            "The log is of preference training (it has rewards), whose eval_loss compares answers and is no nll: its "
            "perplexity means nothing. Audit the checkpoints instead."
        )
    return replace(found, warnings=(*notes, *found.warnings))


def _cumulative(evaluated: Sequence[int], rates: Mapping[int, float]) -> dict[int, float]:
    """Learning rates summed over the steps up to each evaluation; a rate holds for the steps since the entry before."""
    if not rates:
        return {}
    total, before, last = 0.0, 0, rates[min(rates)]
    sums = {}
    for step in sorted({*evaluated, *rates}):
        last = rates.get(step, last)
        total += last * (step - before)
        before = step
        sums[step] = total
    return {step: sums[step] for step in evaluated}


def _unused(main: Logged, line: Timeline, others: Sequence[Logged]) -> list[str]:
    """Logged metrics that may be the accuracy of answers, if none was recognized."""
    if np.isfinite(main.accuracy).any():
        return []
    like = ("accuracy", "exact", "correct", "solved", "pass@", "reward", "score", "win")
    unknown = sorted(k for k, known in line.logged.items() if not known and _sounds_like(k, like))
    unknown = [k for k in unknown if "token" not in k.lower() and not k.lower().startswith("train")]
    elsewhere = sorted(j.metric for j in others if j.metric and not np.isfinite(j.nll).any())
    names = [*elsewhere, *unknown]
    if not names:
        return []
    return [f"Is one of these the accuracy of answers: {', '.join(names[:10])}? Then name it: --accuracy-metric."]


def _sounds_like(name: str, words: Sequence[str]) -> bool:
    return "acc" in fold(name).split("_") or any(word in name.lower() for word in words)
