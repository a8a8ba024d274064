"""Which tokens carry the nll in excess of a reference: what a figure or a table of the worst shows."""

from dataclasses import dataclass

import numpy as np

from overmem.probes.mechanism import TokenExcess
from overmem.records import Estimate
from overmem.statistics import fraction, ratio


@dataclass(frozen=True)
class Carrier:
    """One token of the vocabulary, over all the places where it is the label."""

    token_id: int
    count: int
    """Places."""
    share: Estimate
    """Of the rise of all tokens that rose; the example is the cluster."""
    excess: Estimate
    """Nats above the reference at each place, on average."""


def carriers(tokens: TokenExcess, count: int = 12) -> list[Carrier]:
    """The tokens that carry the largest shares of the rise, the largest first; of equal ones the lower id."""
    size = len(tokens.example_ids)
    rise = np.maximum(tokens.excess, 0.0)
    kinds, kind = np.unique(tokens.token_id, return_inverse=True)
    carried = np.bincount(kind, rise, len(kinds))
    whole = np.bincount(tokens.example, rise, size)
    largest = []
    for at in np.argsort(-carried, kind="stable")[:count]:
        here = kind == at
        places = np.bincount(tokens.example, here, size)
        part, net = (np.bincount(tokens.example, here * values, size) for values in (rise, tokens.excess))
        largest.append(Carrier(int(kinds[at]), int(here.sum()), fraction(part, whole), ratio(net, places)))
    return largest


def costliest(tokens: TokenExcess, count: int = 3) -> list[int]:
    """Positions of the examples of most excess in all, the largest first; of equal ones the earlier id."""
    whole = np.bincount(tokens.example, tokens.excess, len(tokens.example_ids))
    return [int(at) for at in np.argsort(-whole, kind="stable")[:count]]
