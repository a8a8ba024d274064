"""Diversity: the benefit of sampling several solutions, and how different they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from overmem.probes.draws import best_of, majority_of, pass_all, pass_at
from overmem.probes.paired import both_sampled, clustered_mean, clusters_of, groups_of, most_sampled, shared
from overmem.probes.probe import Comparison
from overmem.probes.rows import Question, drawn_questions, mean_logprobs, missing, row, samples_or_note, splits_of
from overmem.probes.variety import (
    chain,
    difference_chance,
    distinct,
    entropy,
    expectation_adjusted_distinct,
    rewording_chance,
    self_bleu,
    vendi,
    words,
)
from overmem.records import Estimate, Example, Measurement, Samples, Snapshot
from overmem.statistics import fraction_mean, mean, mean_difference, p_of_interval

METRICS = ("distinct_1", "self_bleu", "vendi", "answer_entropy", "chain_difference")
_BOUNDED = ("distinct_1", "distinct_2", "self_bleu", "chain_difference", "reworded")


def diversity(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Pass@k, majority and best-of-k accuracy, and the variety of a question's draws, on every split with draws.

    The draws of a question are a cluster; n counts questions. For k = 1, 2, 4, .. and the number of draws:
    `pass@k`: at least one of k is right; `pass^k`: all k are right; both unbiased. `maj@k`: the most common answer is
    right; `best@k`: the draw with the highest mean log probability is right; `best_gain@k`: `best@k` - `pass@1`.
    Means over questions: `distinct_1`, `distinct_2` (distinct n-grams / n-grams), `ead` (distinct words / expected
    distinct words at this length), `self_bleu`, `vendi` (effective number of different texts), `distinct_answers`,
    `answer_entropy` (nats). Over the right draws only: `correct_chains` (number of different calculations),
    `chain_difference` (probability that two of them calculate differently) and `reworded` (probability that two of
    them with different words calculate the same).
    Each row has a temperature; the temperature with the most draws (the lowest of several) comes first.
    """
    rows = []
    for split in splits_of(snapshot):
        samples = samples_or_note(snapshot, split)
        by_temperature = {} if isinstance(samples, str) else drawn_questions(samples)
        if isinstance(samples, str) or not by_temperature:
            reason = samples if isinstance(samples, str) else "only the greedy completion was sampled"
            rows += missing(snapshot, split, "diversity", ["pass@k"], reason, k=1)
            rows += missing(snapshot, split, "diversity", METRICS, reason)
            continue
        main = max(by_temperature, key=lambda t: (sum(len(q.rows) for q in by_temperature[t]), -t))
        sampled = {*samples.example_ids}
        examples = [e for e in snapshot.examples.get(split, ()) if e.id in sampled]
        vocabulary = _vocabulary(examples, samples)
        for temperature in sorted(by_temperature, key=lambda t: (t != main, t)):
            questions = by_temperature[temperature]
            for (metric, k), estimate in _accuracy_at_k(samples, questions).items():
                rows.append(row(snapshot, split, "diversity", metric, estimate, k=k, temperature=temperature))
            for metric, estimate in _variety(samples, questions, vocabulary).items():
                rows.append(row(snapshot, split, "diversity", metric, estimate, temperature=temperature))
    return rows


def diversity_lost(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """Losses on test of `pass@k`, `best-of-k`, different texts and different calculations.

    k is the smallest number of draws of any question; means over questions, with Student's t.
    """
    sampled = both_sampled(good, bad, "test")
    sides = [(samples, most_sampled(samples)) for samples in sampled or ()]
    names = shared(*(list(questions) for _, questions in sides)) if sides else []
    k = min((len(questions[name].rows) for _, questions in sides for name in names), default=0)
    for m in _COMPARED if k >= 2 else ():
        pairs = [[m.value(samples, list(questions[name].rows), k) for samples, questions in sides] for name in names]
        kept = [(name, a - b) for name, (a, b) in zip(names, pairs, strict=True) if a is not None and b is not None]
        lost = np.array([change for _, change in kept], dtype=np.float64)
        clusters = clusters_of([name for name, _ in kept], groups_of(good, "test"))
        worse = (mean_difference if m.is_share else mean)(lost) if clusters is None else clustered_mean(lost, clusters)
        yield Comparison(m.name.format(k=k), worse, p_of_interval(worse), m.sentence, m.is_share)


def _pass(samples: Samples, rows: list[int], k: int) -> float:
    return pass_at(k, len(rows), int(samples.correct[rows].sum()))


def _best(samples: Samples, rows: list[int], k: int) -> float:
    score = mean_logprobs(samples, rows)
    return best_of(k, np.nan_to_num(score, nan=-np.inf), samples.correct[rows].astype(bool))


def _texts(samples: Samples, rows: list[int], k: int) -> float | None:
    return vendi([words(samples.text[i]) for i in rows[:k]])


def _solutions(samples: Samples, rows: list[int], k: int) -> float | None:
    return difference_chance([chain(samples.text[i]) for i in rows if samples.correct[i]])


@dataclass(frozen=True)
class _ComparedMetric:
    """A metric of the draws of one question that is compared between checkpoints; larger is better."""

    name: str
    value: Callable[[Samples, list[int], int], float | None]
    """(samples, rows of the question's draws, k) -> the metric."""
    sentence: str
    is_share: bool = True


_COMPARED = (
    _ComparedMetric(
        "pass@{k}", _pass, "a question is solved by at least one of several sampled completions {} less often"
    ),
    _ComparedMetric("best-of-{k}", _best, "the likeliest of several sampled completions is right {} less often"),
    _ComparedMetric(
        "diversity (texts)", _texts, "a question's sampled completions are worth {} fewer different texts", False
    ),
    _ComparedMetric("diversity (solutions)", _solutions, "two right completions calculate differently {} less often"),
)


def _vocabulary(examples: Sequence[Example], samples: Samples) -> int:
    """The number of distinct words in the examples, so that it is the same at every checkpoint, or in the completions.

    Completions are used only if the texts of the examples are missing.
    """
    texts: Iterable[str] = [f"{e.question} {e.solution}" for e in examples] or samples.text
    return max(2, len({word for text in texts for word in words(text)}))


def _accuracy_at_k(samples: Samples, questions: list[Question]) -> dict[tuple[str, int], Estimate]:
    """(metric, k) -> estimate."""
    largest = max(len(q.rows) for q in questions)
    sizes = sorted({largest, *(2**i for i in range(12) if 2**i <= largest)})
    of_question = [_question_at_sizes(samples, q, [k for k in sizes if k <= len(q.rows)]) for q in questions]
    estimates: dict[tuple[str, int], Estimate] = {}
    for k in sizes:
        table = np.array([at[k] for at in of_question if k in at], dtype=np.float64)
        left_out = len(questions) - len(table)
        note = f"{left_out} questions with fewer draws left out" if left_out else ""
        names = ["pass@k", "pass^k", "maj@k", "best@k"] if k > 1 else ["pass@k"]
        estimates |= {(name, k): fraction_mean(table[:, i], note) for i, name in enumerate(names)}
        if k > 1:
            estimates["best_gain@k", k] = mean_difference(table[:, 3] - table[:, 4], note)
    return estimates


def _question_at_sizes(samples: Samples, question: Question, sizes: Sequence[int]) -> dict[int, tuple[float, ...]]:
    """For each size k: pass@k, pass^k, maj@k, best@k and pass@1 of one question; only pass@1 for k = 1."""
    rows = list(question.rows)
    n, correct = len(rows), samples.correct[rows].astype(bool)
    score = np.nan_to_num(mean_logprobs(samples, rows), nan=-np.inf)
    answers, right, hits = [samples.answer[i] for i in rows], correct.tolist(), int(correct.sum())
    return {
        k: (pass_at(1, n, hits),)
        if k == 1
        else (
            pass_at(k, n, hits),
            pass_all(k, n, hits),
            majority_of(k, answers, right),
            best_of(k, score, correct),
            hits / n,
        )
        for k in sizes
    }


def _variety(samples: Samples, questions: list[Question], vocabulary: int) -> dict[str, Estimate]:
    per_question: dict[str, list[float | None]] = {}
    for question in questions:
        texts = tuple(tuple(words(samples.text[i])) for i in question.rows)
        answers = [samples.answer[i] for i in question.rows if samples.answer[i]]
        right = [bool(samples.correct[i]) for i in question.rows]
        chains = [chain(samples.text[i]) for i, good in zip(question.rows, right, strict=True) if good]
        values = {
            "distinct_1": distinct(texts, 1),
            "distinct_2": distinct(texts, 2),
            "ead": expectation_adjusted_distinct(texts, vocabulary),
            "self_bleu": self_bleu(texts),
            "vendi": vendi(texts),
            "distinct_answers": float(len(set(answers))) if answers else None,
            "answer_entropy": entropy(answers) if answers else None,
            "correct_chains": float(len(set(chains))) if chains else None,
            "chain_difference": difference_chance(chains),
            "reworded": rewording_chance([text for text, good in zip(texts, right, strict=True) if good], chains),
        }
        for name, value in values.items():
            per_question.setdefault(name, []).append(value)
    estimates = {}
    for name, values_of in per_question.items():
        defined = np.array([v for v in values_of if v is not None], dtype=np.float64)
        note = f"{len(values_of) - len(defined)} questions without it left out" if len(defined) < len(values_of) else ""
        estimates[name] = (fraction_mean if name in _BOUNDED else mean)(defined, note)
    return estimates
