"""Which checkpoint to ship: chosen on validation data, scored on test data. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.records import Checkpoint, CheckpointVerdict, Choice, Curves, Estimate, Limits
from overmem.verdict.candidates import SelectionInputs, selection_inputs, undominated

DEFAULT = Limits()

REASONS = {
    "overmem": (
        "no other checkpoint beats it in both accuracy and perplexity, and of those level with the best in accuracy it "
        "has the lowest perplexity (level: the same once smoothed over the run, or within a standard error of one "
        "whose perplexity is costly)"
    ),
    "healthy": "it is the most accurate healthy one, and over-memorized ones are shown to do harm or to cost privacy",
    "merge": "it is a merge, shown on val to be more accurate than the best single one, or as accurate at a lower nll",
    "paper": "the highest accuracy within the perplexity bound",
    "one-se": "the earliest within one standard error of the highest accuracy",
    "min-nll": "the lowest perplexity",
    "max-accuracy": "the highest accuracy",
    "last": "the last one",
    "trainer": "the trainer's own best_model_checkpoint",
}
"""Every selection rule, in words. `overmem` is the one that is recommended."""

ALONE = "it is the only one that was evaluated, so there was nothing to choose from"
ALONE_ON_DISK = "of the evaluated checkpoints it is the only one on disk, so there was nothing to choose from"
"""Why the only candidate was chosen."""

TOLERANCE = 0.05
"""Standard errors of accuracy that the recommended rule gives up for a lower perplexity."""
GAIN = 1.0
"""Standard errors by which a checkpoint of costly perplexity must be more accurate than the best of the others."""


def choices(
    val: Curves,
    test: Curves | None,
    verdicts: Sequence[CheckpointVerdict] = (),
    limits: Limits = DEFAULT,
    *,
    on_disk: Collection[str] | None = None,
    trainers_choice: str | None = None,
) -> tuple[Choice | None, tuple[Choice, ...]]:
    """The recommended choice, and what every other rule picks; each chosen on `val` and scored on `test`.

    Only trained checkpoints are candidates, and of these only the ones named in `on_disk` (None: all). Without `test`
    the accuracies are those of `val`, marked as flattering. The recommendation is None where nothing can be chosen.
    """
    judged = {v.checkpoint.name for v in verdicts if v.nll.value is not None and v.accuracy.value is not None}
    candidates = [
        i
        for i, c in enumerate(val.checkpoints)
        if c.step > 0
        and not c.merged_from
        and (on_disk is None or c.name in on_disk)
        and (not verdicts or c.name in judged)
        and np.isfinite(val.nll_sums[i]).any()
        and np.isfinite(val.correct[i]).any()
    ]
    if not candidates:
        return None, ()
    val = _complete(val, candidates)
    if not val.nll_sums.shape[1]:
        return None, ()
    inputs = selection_inputs(val)
    healthy = {v.checkpoint.name for v in verdicts if v.regime.startswith("healthy")}
    bound = limits.nats_per_token(float(inputs.nll.min()), float(val.token_counts.mean()))
    picked = _picked(inputs, [c.name for c in val.checkpoints], healthy, bound, trainers_choice)
    scored, measured_on = confirmation(val, test)
    row_of = {c.name: i for i, c in enumerate(scored.checkpoints)}
    recommended = val.checkpoints[picked["overmem"]].name
    made = {
        rule: choice_of(rule, val.checkpoints[i], scored, row_of, row_of.get(recommended), measured_on)
        for rule, i in picked.items()
    }
    if len(candidates) == 1:
        is_alone = len(verdicts) <= 1 or sum(v.is_judged and v.checkpoint.step > 0 for v in verdicts) <= 1
        made = {rule: replace(choice, reason=ALONE if is_alone else ALONE_ON_DISK) for rule, choice in made.items()}
    return made["overmem"], tuple(choice for rule, choice in made.items() if rule != "overmem")


def _complete(curves: Curves, rows: Sequence[int]) -> Curves:
    """The candidates alone, on the examples that all of them were measured on."""
    nll, correct = curves.nll_sums[list(rows)], curves.correct[list(rows)]
    kept = np.isfinite(nll).all(0) & np.isfinite(correct).all(0)
    checkpoints = tuple(curves.checkpoints[i] for i in rows)
    return Curves(checkpoints, nll[:, kept], curves.token_counts[kept], correct[:, kept])


def _overmem(inputs: SelectionInputs, d_nll: float) -> int:
    level = np.where(undominated(inputs.nll, inputs.accuracy), inputs.smoothed_accuracy, -np.inf)
    best = _least_nll_of_level(inputs, level)
    is_cheap = inputs.nll <= inputs.nll.min() + d_nll
    if is_cheap[best]:
        return best
    cheapest = _least_nll_of_level(inputs, np.where(is_cheap, level, -np.inf))
    gain = inputs.accuracy[best] - inputs.accuracy[cheapest]
    return best if gain > GAIN * inputs.paired_stderr(best)[cheapest] else cheapest


def _least_nll_of_level(inputs: SelectionInputs, level: Float[np.ndarray, " checkpoints"]) -> int:
    """Of those whose level is that of the highest, to within the tolerance, the one of least nll."""
    best = int(level.argmax())
    near = level >= level[best] - TOLERANCE * np.median(inputs.paired_stderr(best))
    return int(np.where(near, inputs.nll, np.inf).argmin())


def _paper(inputs: SelectionInputs, d_nll: float) -> int:
    return int(np.where(inputs.nll <= inputs.nll.min() + d_nll, inputs.accuracy, -np.inf).argmax())


def _one_se(inputs: SelectionInputs, d_nll: float) -> int:
    best = int(inputs.accuracy.argmax())
    return int((inputs.accuracy >= inputs.accuracy[best] - sqrt(max(inputs.noise[best, best], 0.0))).argmax())


SELECTION_RULES: Mapping[str, Callable[[SelectionInputs, float], int]] = {
    "overmem": _overmem,
    "paper": _paper,
    "one-se": _one_se,
    "min-nll": lambda inputs, d_nll: int(inputs.nll.argmin()),
    "max-accuracy": lambda inputs, d_nll: int(inputs.accuracy.argmax()),
    "last": lambda inputs, d_nll: len(inputs.nll) - 1,
}
"""Which of the candidates each rule picks. The perplexity bound is the paper's `bounded range`, for which no figure
is known; d_nll is ours."""


def _picked(
    inputs: SelectionInputs, names: Sequence[str], healthy: Collection[str], d_nll: float, trainers_choice: str | None
) -> dict[str, int]:
    """What each rule picks, the most accurate of the healthy ones that nothing dominates, and the trainer's choice."""
    picked = {rule: pick(inputs, d_nll) for rule, pick in SELECTION_RULES.items()}
    front = undominated(inputs.nll, inputs.accuracy)
    healthy_rows = [i for i, name in enumerate(names) if name in healthy and front[i]]
    if healthy_rows:
        picked["healthy"] = max(healthy_rows, key=lambda i: inputs.accuracy[i])
    if trainers_choice in names:
        picked["trainer"] = names.index(trainers_choice)
    return picked


def logged_choices(
    checkpoints: Sequence[Checkpoint],
    nll: Float[np.ndarray, " checkpoints"],
    accuracy: Float[np.ndarray, " checkpoints"],
    stderr: float,
    limits: Limits = DEFAULT,
    *,
    n: int = 0,
    on_disk: Collection[str] | None = None,
    healthy: Collection[str] = (),
    trainers_choice: str | None = None,
) -> tuple[Choice | None, tuple[Choice, ...]]:
    """As `choices`, where only curves were logged: every number is that on which the choice was made.

    Args:
        checkpoints: in time order.
        nll: logged, in nats per token.
        accuracy: logged, as a fraction.
        stderr: of one logged accuracy.
        limits: when perplexity is costly and accuracy kept.
        n: examples behind an accuracy; 0 where unknown.
        on_disk: the checkpoints that can be chosen; None for all.
        healthy: the names of the healthy checkpoints.
        trainers_choice: the trainer's own best checkpoint.
    """
    usable = np.isfinite(nll) & np.isfinite(accuracy)
    rows = [i for i, c in enumerate(checkpoints) if usable[i] and c.step > 0 and (on_disk is None or c.name in on_disk)]
    if not rows:
        return None, ()
    steps = np.array([checkpoints[i].step for i in rows], dtype=np.float64)
    inputs = SelectionInputs(steps, nll[rows], accuracy[rows], np.eye(len(rows)) * stderr**2, 0)
    bound = limits.nats_per_token(float(inputs.nll.min()), None)
    picked = _picked(inputs, [checkpoints[i].name for i in rows], healthy, bound, trainers_choice)
    note, shipped = "logged, on the examples it was chosen on: flattering, no interval", picked["overmem"]
    alone = ALONE if (usable & (np.array([c.step for c in checkpoints]) > 0)).sum() == 1 else ALONE_ON_DISK
    made = {
        rule: Choice(
            rule,
            checkpoints[rows[i]].name,
            Estimate(float(inputs.accuracy[i]), note=note),
            Estimate(float(inputs.nll[i]), note=note),
            _logged_regret(float(inputs.accuracy[shipped] - inputs.accuracy[i]), 0.0 if i == shipped else stderr, n),
            alone if len(rows) == 1 else REASONS[rule],
            measured_on="log",
        )
        for rule, i in picked.items()
    }
    return made["overmem"], tuple(choice for rule, choice in made.items() if rule != "overmem")


def _logged_regret(value: float, stderr: float, n: int) -> Estimate:
    """A difference of two logged accuracies, with the interval that the noise of both implies."""
    half = statistics.Z * sqrt(2) * stderr
    return Estimate(value, value - half, value + half, n, "logged, on the examples it was chosen on: flattering")


def choice_of(
    rule: str, picked: Checkpoint, scored: Curves, row_of: Mapping[str, int], recommended: int | None, measured_on: str
) -> Choice:
    """What a rule picked, with its accuracy and nll on `scored` and its regret there."""
    i = row_of.get(picked.name)
    if i is None:
        missing = Estimate(None, note="not measured on test")
        return Choice(rule, picked.name, missing, missing, missing, REASONS[rule], measured_on)
    known = np.isfinite(scored.correct[i])
    scored_nll = np.isfinite(scored.nll_sums[i])
    accuracy = statistics.share(float(scored.correct[i, known].sum()), int(known.sum()))
    nll = statistics.ratio(scored.nll_sums[i, scored_nll], scored.token_counts[scored_nll].astype(np.float64))
    regret = Estimate(None, note="the recommended checkpoint was not measured on test")
    if recommended is not None:
        regret = difference(scored, recommended, i)
    note = "" if measured_on == "test" else FLATTERING
    accuracy, nll, regret = (_noted(estimate, note) for estimate in (accuracy, nll, regret))
    return Choice(rule, picked.name, accuracy, nll, regret, REASONS[rule], measured_on)


FLATTERING = "on val, where it was chosen: flattering"
"""Noted with every number of a choice that was not confirmed on test examples."""


def _noted(estimate: Estimate, note: str) -> Estimate:
    if not note:
        return estimate
    return Estimate(estimate.value, estimate.low, estimate.high, estimate.n, note)


def difference(curves: Curves, left: int, right: int) -> Estimate:
    """Accuracy of one checkpoint minus that of another on the same examples, with its interval."""
    both = np.isfinite(curves.correct[left]) & np.isfinite(curves.correct[right])
    a, b = curves.correct[left, both], curves.correct[right, both]
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        return statistics.newcombe(a == 1, b == 1)
    return statistics.mean(a - b)


def prunable(verdicts: Sequence[CheckpointVerdict], recommended: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """Which of the checkpoints `names` (in time order) may be deleted.

    Never the recommended one, its neighbours or the last. Without a recommendation, none.
    """
    if recommended is None or recommended not in names:
        return ()
    row = list(names).index(recommended)
    kept = {row - 1, row, row + 1, len(names) - 1}
    judged = {v.checkpoint.name for v in verdicts}
    return tuple(name for i, name in enumerate(names) if i not in kept and name in judged)


def confirmation(val: Curves, test: Curves | None) -> tuple[Curves, str]:
    """The curves that choices are scored on, and the name of their split."""
    return (test, "test") if test is not None else (val, "val")


def promote(
    val: Curves, test: Curves | None, rule: str, checkpoint: str, recommended: Choice, others: tuple[Choice, ...]
) -> tuple[Choice, tuple[Choice, ...]]:
    """Another checkpoint in the recommended one's place, every regret counted from it."""
    scored, measured_on = confirmation(val, test)
    row_of = {c.name: i for i, c in enumerate(scored.checkpoints)}
    named = {c.name: c for c in val.checkpoints}
    also_picked = [(c.rule, c.checkpoint or "") for c in (recommended, *others) if c.rule != rule]
    names = [(rule, checkpoint), *also_picked]
    made = [choice_of(r, named[name], scored, row_of, row_of.get(checkpoint), measured_on) for r, name in names]
    return made[0], tuple(made[1:])
