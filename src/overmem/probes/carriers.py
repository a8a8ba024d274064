"""Which tokens of the vocabulary the excess nll over a reference comes from, for figures and tables."""

from dataclasses import dataclass

import numpy as np

from overmem.probes.mechanism import TokenExcess
from overmem.records import Estimate
from overmem.statistics import fraction, ratio


@dataclass(frozen=True)
class Carrier:
    """One token of the vocabulary, over all its occurrences as a label."""

    token_id: int
    count: int
    """Number of occurrences."""
    share: Estimate
    """Share of the summed rise of all tokens whose nll rose, clustered by example."""
    excess: Estimate
    """Mean excess over the reference per occurrence, in nats."""


def carriers(tokens: TokenExcess, count: int = 12) -> list[Carrier]:
    """The tokens with the largest shares of the rise, in descending order; ties by token id."""
    examples = len(tokens.example_ids)
    rise = np.maximum(tokens.excess, 0.0)
    token_ids, index = np.unique(tokens.token_id, return_inverse=True)
    rise_by_token = np.bincount(index, rise, len(token_ids))
    total = np.bincount(tokens.example, rise, examples)
    largest = []
    for i in np.argsort(-rise_by_token, kind="stable")[:count]:
        is_token = index == i
        occurrences = np.bincount(tokens.example, is_token, examples)
        part, net = (np.bincount(tokens.example, is_token * values, examples) for values in (rise, tokens.excess))
        largest.append(Carrier(int(token_ids[i]), int(is_token.sum()), fraction(part, total), ratio(net, occurrences)))
    return largest


def costliest(tokens: TokenExcess, count: int = 3) -> list[int]:
    """Indices of the examples with the largest summed excess, in descending order; ties by example id."""
    total = np.bincount(tokens.example, tokens.excess, len(tokens.example_ids))
    return [int(i) for i in np.argsort(-total, kind="stable")[:count]]
