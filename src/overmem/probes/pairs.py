"""The same solution tokens under two checkpoints."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem.records import Scores


@dataclass(frozen=True)
class TokenPairs:
    """Every token of the examples that both checkpoints scored alike, laid end to end in the order of ids."""

    example_ids: tuple[str, ...]
    example: Int[np.ndarray, " tokens"]
    """Position in `example_ids` of the example that the token belongs to."""
    row: Int[np.ndarray, " examples"]
    """Positions of the examples in the scores, and in the reference's."""
    reference_row: Int[np.ndarray, " examples"]
    token_id: Int[np.ndarray, " tokens"]
    nll: Float[np.ndarray, " tokens"]
    reference_nll: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]
    """Whether the label is the argmax of the checkpoint (not of the reference)."""

    def per_example(self, values: Float[np.ndarray, " tokens"]) -> Float[np.ndarray, " examples"]:
        """Sums over each example's tokens."""
        return np.bincount(self.example, values, len(self.example_ids))


def token_pairs(scores: Scores, reference: Scores) -> TokenPairs | str:
    """The tokens that lie in both, or why there are none. Examples whose tokens differ are left out."""
    old = {name: at for at, name in enumerate(reference.example_ids)}
    names, here, there = [], [], []
    for name, at in sorted((name, at) for at, name in enumerate(scores.example_ids) if name in old):
        one = scores.token_id[scores.offsets[at] : scores.offsets[at + 1]]
        two = reference.token_id[reference.offsets[old[name]] : reference.offsets[old[name] + 1]]
        if np.array_equal(one, two):
            names.append(name)
            here.append(at)
            there.append(old[name])
    if not names:
        return "no example has the same tokens in both"
    take, other = _tokens(scores, here), _tokens(reference, there)
    counts = scores.token_counts[here]
    return TokenPairs(
        tuple(names),
        np.repeat(np.arange(len(names)), counts),
        np.array(here),
        np.array(there),
        scores.token_id[take],
        -scores.logprob[take].astype(np.float64),
        -reference.logprob[other].astype(np.float64),
        scores.is_argmax[take].astype(bool),
    )


def _tokens(scores: Scores, rows: list[int]) -> Int[np.ndarray, " tokens"]:
    return np.concatenate([np.arange(scores.offsets[i], scores.offsets[i + 1]) for i in rows])
