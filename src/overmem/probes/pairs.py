"""The same solution tokens under two checkpoints."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem.records import Scores


@dataclass(frozen=True)
class TokenPairs:
    """The tokens of all examples that have the same tokens at both checkpoints, concatenated in the order of ids."""

    example_ids: tuple[str, ...]
    example: Int[np.ndarray, " tokens"]
    """Index in `example_ids` of each token's example."""
    row: Int[np.ndarray, " examples"]
    """Index of each example in the scores."""
    reference_row: Int[np.ndarray, " examples"]
    """Index of each example in the scores of the reference."""
    token_id: Int[np.ndarray, " tokens"]
    nll: Float[np.ndarray, " tokens"]
    reference_nll: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]
    """Whether the label is the argmax of the checkpoint (not of the reference)."""

    def per_example(self, values: Float[np.ndarray, " tokens"]) -> Float[np.ndarray, " examples"]:
        """Sums over the tokens of each example."""
        return np.bincount(self.example, values, len(self.example_ids))


def token_pairs(scores: Scores, reference: Scores) -> TokenPairs | str:
    """The tokens that both checkpoints scored, or why there are none. Examples whose tokens differ are left out."""
    reference_row_of = {name: i for i, name in enumerate(reference.example_ids)}
    names, rows, reference_rows = [], [], []
    for name, i in sorted((name, i) for i, name in enumerate(scores.example_ids) if name in reference_row_of):
        j = reference_row_of[name]
        ids = scores.token_id[scores.offsets[i] : scores.offsets[i + 1]]
        if np.array_equal(ids, reference.token_id[reference.offsets[j] : reference.offsets[j + 1]]):
            names.append(name)
            rows.append(i)
            reference_rows.append(j)
    if not names:
        return "no example has the same tokens in both"
    tokens, reference_tokens = _token_indices(scores, rows), _token_indices(reference, reference_rows)
    return TokenPairs(
        tuple(names),
        np.repeat(np.arange(len(names)), scores.token_counts[rows]),
        np.array(rows),
        np.array(reference_rows),
        scores.token_id[tokens],
        -scores.logprob[tokens].astype(np.float64),
        -reference.logprob[reference_tokens].astype(np.float64),
        scores.is_argmax[tokens].astype(bool),
    )


def _token_indices(scores: Scores, rows: list[int]) -> Int[np.ndarray, " tokens"]:
    return np.concatenate([np.arange(scores.offsets[i], scores.offsets[i + 1]) for i in rows])
