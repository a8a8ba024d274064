"""What sampling many solutions is worth, and how unlike one another they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from overmem.probes.draws import best_of, majority_of, pass_all, pass_at
from overmem.probes.paired import both_sampled, most_sampled, shared
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

    A question's draws are one cluster; n counts questions. For k = 1, 2, 4, .. and the number of draws:
    `pass@k`: at least one of k right; `pass^k`: all k right; both unbiased. `maj@k`: the most common answer is;
    `best@k`: the draw of the highest mean log probability is; `best_gain@k`: `best@k` minus `pass@1`, paired.
    Means over questions: `distinct_1`, `distinct_2` (different n-grams over all), `ead` (different words over those
    expected at this length), `self_bleu`, `vendi` (effective number of different texts), `distinct_answers`,
    `answer_entropy` (nats). Over the right draws only: `correct_chains` (number of different calculations),
    `chain_difference` (chance that two of them calculate differently: other ways of solving, not other words) and
    `reworded` (of two of them in different words, the chance that they calculate the same).
    Each row says its temperature; the temperature with the most draws (of equal ones the lowest) comes first.
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
        most = max(by_temperature, key=lambda t: (sum(len(q.rows) for q in by_temperature[t]), -t))
        sampled = {*samples.example_ids}
        texts = [e for e in snapshot.examples.get(split, ()) if e.id in sampled]
        vocabulary = _vocabulary(texts, samples)
        for temperature in sorted(by_temperature, key=lambda t: (t != most, t)):
            questions = by_temperature[temperature]
            for (metric, k), number in _worth(samples, questions, split).items():
                rows.append(row(snapshot, split, "diversity", metric, number, k=k, temperature=temperature))
            for metric, number in _variety(samples, questions, vocabulary).items():
                rows.append(row(snapshot, split, "diversity", metric, number, temperature=temperature))
    return rows


def diversity_lost(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """`pass@k` and `best-of-k` lost on test, different texts lost, and different calculations lost.

    k is the number of completions that every question has; means over questions, by Student's t.
    """
    sampled = both_sampled(good, bad, "test")
    sides = [(samples, most_sampled(samples)) for samples in sampled or ()]
    names = shared(*(list(questions) for _, questions in sides)) if sides else []
    k = min((len(questions[name].rows) for _, questions in sides for name in names), default=0)
    for kind in _WORTHS if k >= 2 else ():
        pairs = [[kind.worth(samples, list(questions[name].rows), k) for samples, questions in sides] for name in names]
        lost = np.array([a - b for a, b in pairs if a is not None and b is not None], dtype=np.float64)
        worse = (mean_difference if kind.is_share else mean)(lost)
        yield Comparison(kind.name.format(k=k), worse, p_of_interval(worse), kind.sentence, kind.is_share)


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
class _Worth:
    """What the sampled completions of one question are worth."""

    name: str
    worth: Callable[[Samples, list[int], int], float | None]
    sentence: str
    is_share: bool = True


_WORTHS = (
    _Worth("pass@{k}", _pass, "a question is solved by at least one of several sampled completions {} less often"),
    _Worth("best-of-{k}", _best, "the likeliest of several sampled completions is right {} less often"),
    _Worth("diversity (texts)", _texts, "a question's sampled completions are worth {} fewer different texts", False),
    _Worth("diversity (solutions)", _solutions, "two right completions calculate differently {} less often"),
)


def _vocabulary(examples: Sequence[Example], samples: Samples) -> int:
    """Different words in the split's own texts, which are the same at every checkpoint; of the completions if none."""
    texts: Iterable[str] = [f"{e.question} {e.solution}" for e in examples] or samples.text
    return max(2, len({word for text in texts for word in words(text)}))


def _worth(samples: Samples, questions: list[Question], split: str) -> dict[tuple[str, int], Estimate]:
    largest = max(len(q.rows) for q in questions)
    sizes = sorted({largest, *(2**i for i in range(12) if 2**i <= largest)})
    numbers: dict[tuple[str, int], Estimate] = {}
    for k in sizes:
        able = [q for q in questions if len(q.rows) >= k]
        note = f"{len(questions) - len(able)} questions with fewer draws left out" if len(able) < len(questions) else ""
        table = np.array([_of_question(samples, q, k, split) for q in able], dtype=np.float64)
        names = ["pass@k", "pass^k", "maj@k", "best@k"] if k > 1 else ["pass@k"]
        numbers |= {(name, k): fraction_mean(table[:, i], note) for i, name in enumerate(names)}
        if k > 1:
            numbers["best_gain@k", k] = mean_difference(table[:, 3] - table[:, 4], note)
    return numbers


def _of_question(samples: Samples, question: Question, k: int, split: str) -> tuple[float, ...]:
    rows = list(question.rows)
    n, correct = len(rows), samples.correct[rows].astype(bool)
    score = mean_logprobs(samples, rows)
    hits = int(correct.sum())
    if k == 1:
        return (pass_at(1, n, hits),)
    answers = [samples.answer[i] for i in rows]
    majority = majority_of(k, answers, [bool(c) for c in correct], seed=(split, question.id))
    return (
        pass_at(k, n, hits),
        pass_all(k, n, hits),
        majority,
        best_of(k, np.nan_to_num(score, nan=-np.inf), correct),
        hits / n,
    )


def _variety(samples: Samples, questions: list[Question], vocabulary: int) -> dict[str, Estimate]:
    per_question: dict[str, list[float | None]] = {}
    for question in questions:
        texts = [words(samples.text[i]) for i in question.rows]
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
    numbers = {}
    for name, values_of in per_question.items():
        defined = np.array([v for v in values_of if v is not None], dtype=np.float64)
        note = f"{len(values_of) - len(defined)} questions without it left out" if len(defined) < len(values_of) else ""
        numbers[name] = (fraction_mean if name in _BOUNDED else mean)(defined, note)
    return numbers
