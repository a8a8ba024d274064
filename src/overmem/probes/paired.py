"""Two checkpoints on the same examples: functions shared by the consequences of several probes."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from overmem.probes.rows import Question, drawn_questions, greedy_rows, samples_or_note
from overmem.records import Estimate, Samples, Snapshot
from overmem.statistics import mcnemar, p_of_interval, ratio, tango


def greedy_correct(samples: Samples) -> dict[str, bool]:
    """Example id -> whether its greedy completion is right, in the order of ids."""
    return {name: bool(samples.correct[row]) for name, row in greedy_rows(samples).items()}


def accuracy_lost(good: Samples, bad: Samples, groups: Mapping[str, str] | None = None) -> tuple[Estimate, float]:
    """Greedy accuracy lost on the shared examples, with Tango's interval and McNemar's exact p.

    If several examples rephrase one question, by `groups`, each question is one cluster, with Student's t.
    """
    left, right = greedy_correct(good), greedy_correct(bad)
    both = [name for name in left if name in right]
    before, after = (np.array([side[name] for name in both], bool) for side in (left, right))
    clusters = clusters_of(both, groups or {})
    if clusters is None:
        return tango(before, after), mcnemar(before, after)
    worse = clustered_mean(before.astype(np.float64) - after, clusters)
    return worse, p_of_interval(worse)


def groups_of(snapshot: Snapshot, split: str) -> dict[str, str]:
    """Example id -> the question that it rephrases; without the examples that rephrase none."""
    return {e.id: e.group for e in snapshot.examples.get(split, ()) if e.group}


def clusters_of(names: Sequence[str], groups: Mapping[str, str]) -> Int[np.ndarray, " examples"] | None:
    """The index of each example's question; None if no two examples share one."""
    questions = [groups.get(name) or name for name in names]
    index_of = {question: index for index, question in enumerate(dict.fromkeys(questions))}
    return None if len(index_of) == len(names) else np.array([index_of[q] for q in questions], dtype=np.int64)


def clustered_mean(values: Float[np.ndarray, " examples"], clusters: Int[np.ndarray, " examples"]) -> Estimate:
    """The mean over examples of differences in [-1, 1], clustered by question; n is the number of questions."""
    return ratio(np.bincount(clusters, values), np.bincount(clusters).astype(np.float64))


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
