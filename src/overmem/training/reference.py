"""Reference log probabilities: the base model's log probability of every training label, stored by document.

A loss that compares with the base model needs one number per label, not the model itself. The numbers are computed once
and looked up by a hash of the document's ids and labels, so row order, padding and packing make no difference.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from overmem.errors import BadRequest
from overmem.losses import LOSSES
from overmem.losses.driver import IGNORED, model_loss


class Document(NamedTuple):
    """One document with labels, in a batch."""

    name: str
    """Hash of its ids and labels."""
    row: int
    positions: np.ndarray
    """Positions in the row, in order."""


def documents(batch: Mapping[str, Tensor]) -> Iterator[Document]:
    """The documents of a batch [batch time]: rows without padding, split where `position_ids` restart (packing)."""
    ids, labels = (batch[name].cpu().numpy() for name in ("input_ids", "labels"))
    mask, position_ids = (None if batch.get(name) is None else batch[name].cpu().numpy() for name in _OPTIONAL)
    for row in range(len(ids)):
        token_positions = np.arange(ids.shape[1]) if mask is None else np.flatnonzero(mask[row])
        starts = [0]
        if position_ids is not None:
            starts = np.flatnonzero(position_ids[row % len(position_ids)][token_positions] == 0).tolist()
        for positions in np.split(token_positions, starts[1:]):
            trained = labels[row, positions].copy()
            trained[:1] = IGNORED  # the first token of a document is never predicted
            if (trained != IGNORED).any():
                yield Document(_name(ids[row, positions], trained), row, positions)


_OPTIONAL = ("attention_mask", "position_ids")


def _name(*parts: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
    return digest.hexdigest()


@torch.no_grad()
def reference_logprobs(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The log probability of every label, in nats, by document; 0 where a position has no label.

    Args:
        model: the model at the start of training, in evaluation mode.
        batches: batches that cover every training row.
    """
    logprobs: dict[str, np.ndarray] = {}
    for batch in batches:
        labels = batch["labels"].clone()
        labels[:, 0] = IGNORED
        _, result = model_loss(model, {**batch, "labels": labels}, LOSSES["nll"])
        logprob = torch.zeros(labels.shape)
        logprob[labels != IGNORED] = -result.nll.cpu().float()
        for name, row, positions in documents(batch):
            logprobs[name] = logprob[row].numpy()[positions]
    return logprobs


def reference_of(batch: Mapping[str, Tensor], logprobs: Mapping[str, np.ndarray]) -> Float[Tensor, "batch time"]:
    """The reference log probabilities of a batch: position t holds the base model's log probability of token t.

    Raises:
        BadRequest: a document that was not scored before training.
    """
    values = np.zeros(tuple(batch["labels"].shape), dtype=np.float32)
    for name, row, positions in documents(batch):
        if name not in logprobs:
            raise BadRequest(
                "a training row was not scored by the base model before training; data, template and max_length must "
                "be the same as when the run was started"
            )
        values[row, positions] = logprobs[name]
    return torch.from_numpy(values).to(batch["labels"].device)
