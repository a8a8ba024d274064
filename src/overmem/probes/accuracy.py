"""The accuracy of greedy and sampled answers."""

import numpy as np

from overmem.probes.rows import (
    drawn_questions,
    greedy_rows,
    missing,
    omitted_for_length,
    row,
    samples_or_note,
    splits_of,
)
from overmem.records import Estimate, Measurement, Samples, Snapshot
from overmem.statistics import fraction_mean, mean, share

METRICS = ("accuracy", "sample_accuracy", "unanswered", "cut_off", "completion_tokens")


def accuracy(snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None) -> list[Measurement]:
    """Share of questions answered correctly, greedy and sampled, on every split with completions.

    `accuracy`: greedy, with Wilson's interval. `sample_accuracy`: the mean over the draws of a question (all
    temperatures), then over questions, clustered by question. `unanswered` and `cut_off`: share of greedy completions
    without an answer, and of those that reached the length limit. `completion_tokens`: mean length of the greedy
    completion.
    """
    rows = []
    for split in splits_of(snapshot):
        samples = samples_or_note(snapshot, split)
        if isinstance(samples, str):
            rows += missing(snapshot, split, "accuracy", METRICS, samples)
            continue
        estimates = zip(METRICS, _estimates(samples, omitted_for_length(snapshot, split)), strict=True)
        rows += [row(snapshot, split, "accuracy", metric, estimate) for metric, estimate in estimates]
    return rows


def _estimates(samples: Samples, note: str) -> tuple[Estimate, ...]:
    """The estimates of METRICS."""
    greedy = list(greedy_rows(samples).values())
    n, no_greedy = len(greedy), "no greedy completion"
    draws: dict[str, list[bool]] = {}
    for questions in drawn_questions(samples).values():
        for question in questions:
            draws.setdefault(question.id, []).extend(bool(samples.correct[i]) for i in question.rows)
    sampled = np.array([np.mean(draws[name]) for name in sorted(draws)], dtype=np.float64)
    lengths = np.array([samples.token_count[i] for i in greedy], dtype=np.float64)
    lengths_are_unknown = bool((lengths < 0).any())
    stops_are_unknown = n > 0 and all(samples.stop[i] == "unknown" for i in greedy)
    return (
        share(sum(bool(samples.correct[i]) for i in greedy), n, note if n else no_greedy),
        fraction_mean(sampled, note if draws else "no sampled completion"),
        share(sum(samples.answer[i] == "" for i in greedy), n, note if n else no_greedy),
        Estimate(None, n=n, note="the imported log does not say why a completion ended")
        if stops_are_unknown
        else share(sum(samples.stop[i] == "length" for i in greedy), n, note if n else no_greedy),
        Estimate(None, n=n, note="the imported log does not count tokens")
        if lengths_are_unknown
        else mean(lengths, note if n else no_greedy),
    )
