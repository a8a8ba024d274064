"""Perplexity of the reference solutions."""

import numpy as np

from overmem.probes.rows import by_id, example_sums, left_out, missing, row, scores_or_note, splits_of
from overmem.records import Measurement, Snapshot
from overmem.statistics import exponential, fraction, mean, ratio

METRICS = ("nll", "perplexity", "token_accuracy", "entropy", "example_nll")


def perplexity(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Nll of the reference solutions in nats per token, and its exponential, on every scored split.

    `nll`: summed nll / number of tokens, with a linearised interval over examples.
    `perplexity`: exp of `nll` and of its interval.
    `token_accuracy`: share of solution tokens that are the argmax. `entropy`: mean entropy of the next-token
    distribution, in nats. `example_nll`: the mean over examples of the nll per token (examples have equal weight).
    """
    rows = []
    for split in splits_of(snapshot):
        scores = scores_or_note(snapshot, split)
        if isinstance(scores, str):
            rows += missing(snapshot, split, "perplexity", METRICS, scores)
            continue
        order, note = by_id(scores.example_ids), left_out(scores)
        tokens = scores.token_counts[order].astype(np.float64)
        sums = scores.nll_sums[order]
        nll = ratio(sums, tokens, note)
        hits = example_sums(scores, scores.is_argmax.astype(np.float64))[order]
        entropy = example_sums(scores, scores.entropy)[order]
        estimates = (
            nll,
            exponential(nll),
            fraction(hits, tokens, note),
            ratio(entropy, tokens, note),
            mean(sums / np.maximum(tokens, 1), note),
        )
        rows += [row(snapshot, split, "perplexity", m, value) for m, value in zip(METRICS, estimates, strict=True)]
    return rows
