"""What the base model says of the training labels: observed once, kept in the run, found again by a document's tokens.

A loss that compares with the base model needs one number a label of it, not the model. The numbers are kept by document
(its ids and labels), so that neither the order of the rows, nor padding, nor packing with others makes a difference.
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
    """One document of a batch that has labels."""

    name: str
    """A hash of its ids and labels."""
    row: int
    places: np.ndarray
    """Positions in the row, in order."""


def documents(batch: Mapping[str, Tensor]) -> Iterator[Document]:
    """The documents of a batch [batch time]: rows without padding, or what `position_ids` says was packed into them."""
    ids, labels = (batch[name].cpu().numpy() for name in ("input_ids", "labels"))
    mask, positions = (None if batch.get(name) is None else batch[name].cpu().numpy() for name in _WHERE)
    for row in range(len(ids)):
        real = np.arange(ids.shape[1]) if mask is None else np.flatnonzero(mask[row])
        starts = [0] if positions is None else np.flatnonzero(positions[row % len(positions)][real] == 0).tolist()
        for places in np.split(real, starts[1:]):
            trained = labels[row, places].copy()
            trained[:1] = IGNORED  # the first token of a document is no target of its own
            if (trained != IGNORED).any():
                yield Document(_name(ids[row, places], trained), row, places)


_WHERE = ("attention_mask", "position_ids")


def _name(*parts: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(np.ascontiguousarray(part, dtype=np.int64).tobytes())
    return digest.hexdigest()


@torch.no_grad()
def observed(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The model's log probability of every label, in nats, by document; 0 where a position has no label.

    Args:
        model: as training will begin with it, in evaluation mode.
        batches: of the training rows, each row at least once.
    """
    found: dict[str, np.ndarray] = {}
    for batch in batches:
        labels = batch["labels"].clone()
        labels[:, 0] = IGNORED
        _, result = model_loss(model, {**batch, "labels": labels}, LOSSES["nll"])
        logprob = torch.zeros(labels.shape)
        logprob[labels != IGNORED] = -result.nll.cpu().float()
        for name, row, places in documents(batch):
            found[name] = logprob[row].numpy()[places]
    return found


def reference_of(batch: Mapping[str, Tensor], known: Mapping[str, np.ndarray]) -> Float[Tensor, "batch time"]:
    """What was observed of a batch: position t holds the base model's log probability of token t.

    Raises:
        BadRequest: a document that was not observed.
    """
    values = np.zeros(tuple(batch["labels"].shape), dtype=np.float32)
    for name, row, places in documents(batch):
        if name not in known:
            raise BadRequest(
                "a training row was not there when the base model was observed; data, template and max_length must "
                "stay as they were when the run began"
            )
        values[row, places] = known[name]
    return torch.from_numpy(values).to(batch["labels"].device)
