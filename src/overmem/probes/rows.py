"""Reads observations and makes measurements: a number per split and metric, or no number and the reason.

Examples are read in the order of their ids, so the order in which they were stored does not matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from overmem.records import Estimate, Measurement, Samples, Scores, Snapshot, SplitName


def row(
    snapshot: Snapshot, split: str, probe: str, metric: str, number: Estimate, **at: float | int | str
) -> Measurement:
    """One measurement of a checkpoint.

    Args:
        snapshot: the checkpoint.
        split: name of the split.
        probe: name of the probe.
        metric: name of the metric.
        number: value, interval, n and note.
        at: further parameters that the number depends on, such as k or the temperature.
    """
    return Measurement(
        checkpoint=snapshot.checkpoint.name,
        step=snapshot.checkpoint.step,
        split=split,
        probe=probe,
        metric=metric,
        value=number.value,
        stderr=number.stderr,
        low=number.low,
        high=number.high,
        n=number.n,
        note=number.note,
        at=at,
    )


def missing(
    snapshot: Snapshot, split: str, probe: str, metrics: Iterable[str], note: str, **at: float | int | str
) -> list[Measurement]:
    """A measurement without a value for each metric, with the reason as its note; otherwise like `row`."""
    return [row(snapshot, split, probe, metric, Estimate(None, note=note), **at) for metric in metrics]


def splits_of(snapshot: Snapshot) -> list[str]:
    """The splits of a checkpoint, sorted by name, without those of membership attacks."""
    noted = {split for split, _ in snapshot.notes}
    splits = {*snapshot.examples, *snapshot.scores, *snapshot.samples, *noted}
    return sorted(split for split in splits if not SplitName.parse(split).attack)


def scores_or_note(snapshot: Snapshot, split: str) -> Scores | str:
    """The scores of one split, or why there are none."""
    scores = snapshot.scores.get(split)
    if scores is not None and len(scores.example_ids):
        return scores
    reason = snapshot.notes.get((split, "scores"), "")
    return reason or ("no example was scored" if scores is not None else "not scored")


def samples_or_note(snapshot: Snapshot, split: str) -> Samples | str:
    """The completions of one split, or why there are none."""
    samples = snapshot.samples.get(split)
    if samples is not None and samples.stop:
        return samples
    reason = snapshot.notes.get((split, "samples"), "")
    return reason or ("no completion was sampled" if samples is not None else "not sampled")


def left_out(scores: Scores) -> str:
    """A note on examples that did not fit the context window; empty if all did."""
    return f"{scores.truncated} examples left out: longer than the context window" if scores.truncated else ""


def omitted_for_length(snapshot: Snapshot, split: str) -> str:
    """The same note for completions, which exist only for examples that fit the context window."""
    scores = snapshot.scores.get(split)
    return "" if scores is None else left_out(scores)


def mean_logprobs(samples: Samples, rows: Sequence[int]) -> Float[np.ndarray, " rows"]:
    """The mean log probability per token of each of these completions, including the end-of-sequence token."""
    ended = np.array([samples.stop[i] == "eos" for i in rows])
    counts = np.maximum(samples.token_count[list(rows)] + ended, 1)
    return np.asarray(samples.logprob[list(rows)].astype(np.float64) / counts)


def by_id(ids: Sequence[str]) -> Int[np.ndarray, " rows"]:
    """The indices that sort `ids`."""
    return np.array(sorted(range(len(ids)), key=lambda i: ids[i]), dtype=np.int64)


def example_sums(scores: Scores, per_token: Float[np.ndarray, " tokens"]) -> Float[np.ndarray, " examples"]:
    """The sum of a per-token quantity for each example, in float64, in stored order."""
    return np.bincount(example_of_token(scores), per_token.astype(np.float64), len(scores.example_ids))


def example_of_token(scores: Scores) -> Int[np.ndarray, " tokens"]:
    """The index of each token's example."""
    return np.repeat(np.arange(len(scores.example_ids)), scores.token_counts)


@dataclass(frozen=True)
class Question:
    """The sampled completions of one example, in the order of their draws."""

    id: str
    rows: tuple[int, ...]
    """Indices in Samples."""


def greedy_rows(samples: Samples) -> dict[str, int]:
    """Example id -> the row of its greedy completion, in the order of ids."""
    rows = [i for i, draw in enumerate(samples.draw) if draw == 0]
    return {samples.example_ids[i]: i for i in sorted(rows, key=lambda i: samples.example_ids[i])}


def drawn_questions(samples: Samples) -> dict[float, list[Question]]:
    """Temperature -> the questions with completions sampled at it, sorted by temperature, id and draw."""
    by_temperature: dict[float, dict[str, list[int]]] = {}
    for i, draw in enumerate(samples.draw):
        if draw >= 1:
            temperature = round(float(samples.temperature[i]), 4)
            by_temperature.setdefault(temperature, {}).setdefault(samples.example_ids[i], []).append(i)
    return {
        t: [
            Question(name, tuple(sorted(rows, key=lambda i: int(samples.draw[i]))))
            for name, rows in sorted(groups.items())
        ]
        for t, groups in sorted(by_temperature.items())
    }
