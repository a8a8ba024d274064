"""Two checkpoints on the same examples: functions shared by the consequences of several probes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from overmem.probes.rows import Question, drawn_questions, greedy_rows, samples_or_note
from overmem.records import Estimate, Samples, Snapshot
from overmem.statistics import mcnemar, tango


def greedy_correct(samples: Samples) -> dict[str, bool]:
    """Example id -> whether its greedy completion is right, in the order of ids."""
    return {name: bool(samples.correct[row]) for name, row in greedy_rows(samples).items()}


def accuracy_lost(good: Samples, bad: Samples) -> tuple[Estimate, float]:
    """Greedy accuracy lost on the shared examples, with Tango's interval and McNemar's exact p."""
    left, right = greedy_correct(good), greedy_correct(bad)
    both = [name for name in left if name in right]
    before, after = (np.array([side[name] for name in both], bool) for side in (left, right))
    return tango(before, after), mcnemar(before, after)


def most_sampled(samples: Samples) -> dict[str, Question]:
    """Example id -> its sampled completions at the temperature with the most of them (the lowest of several)."""
    questions = drawn_questions(samples)
    if not questions:
        return {}
    most = max(questions, key=lambda t: (sum(len(q.rows) for q in questions[t]), -t))
    return {question.id: question for question in questions[most]}


def both_sampled(good: Snapshot, bad: Snapshot, split: str) -> tuple[Samples, Samples] | None:
    """The completions of one split at both checkpoints; None if either has none."""
    left, right = samples_or_note(good, split), samples_or_note(bad, split)
    return None if isinstance(left, str) or isinstance(right, str) else (left, right)


def shared(ids: Sequence[str], others: Sequence[str]) -> list[str]:
    """The common ids, sorted."""
    return sorted(set(ids) & set(others))


def values_of(scores: Mapping[str, float], ids: Sequence[str]) -> Float[np.ndarray, " examples"]:
    """The scores of these examples, in their order."""
    return np.array([scores[name] for name in ids], dtype=np.float64)
