"""Teacher forcing: statistics of every token of the reference solutions, from one forward pass.

Logits are computed only at positions that predict a solution token, and a chunk at a time: prompt positions skip the
output layer, and memory is bounded by the token budget whatever the size of the vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from overmem.encoding import Encoded
from overmem.models.device import logit_rows, tokens_at_once
from overmem.models.head import base_of, has_plain_head, head_of, logits_of
from overmem.models.loading import Model
from overmem.observe.engines.decoding import batches
from overmem.records import TEMPERATURES, Scores

_BLOCK = 2**18
"""Logits per block on a CPU: 1 MiB."""
Statistics = tuple[Float[np.ndarray, "4 tokens"], np.ndarray, Float[np.ndarray, "tokens temperatures"]]
"""For some tokens: the columns below, whether the label is the argmax, and the nll at each temperature."""
_COLUMNS = ("logprob", "entropy", "top1_logprob", "std_logprob")


def scores(
    model: Model,
    encoded: Sequence[Encoded],
    *,
    token_budget: int,
    truncated: int = 0,
    advance: Callable[[int], None] = lambda examples: None,
) -> Scores:
    """Per-token statistics of every reference solution, in the same order.

    Args:
        model: any causal language model, in evaluation mode.
        encoded: prompt and solution ids of each example.
        token_budget: maximum number of padded tokens in one forward pass.
        truncated: number of examples that the caller left out because they do not fit the context; recorded.
        advance: called after each batch with its number of examples.
    """
    accumulator = ScoreAccumulator(encoded)
    lengths = [len(e.prompt_ids) + len(e.solution_ids) for e in encoded]
    for batch in batches(lengths, 1, tokens_at_once(model, token_budget)):
        accumulator.put(batch, _batch_statistics(model, [encoded[i] for i in batch]))
        advance(len(batch))
    return accumulator.scores(truncated)


class ScoreAccumulator:
    """Collects the statistics of solutions batch by batch."""

    def __init__(self, encoded: Sequence[Encoded]) -> None:
        self.encoded = encoded
        self.counts = [len(e.solution_ids) for e in encoded]
        self.offsets = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)]).astype(np.int64)
        self.columns = {name: np.zeros(self.offsets[-1], dtype=np.float32) for name in _COLUMNS}
        self.is_argmax = np.zeros(self.offsets[-1], dtype=bool)
        self.tempered = np.zeros((len(encoded), len(TEMPERATURES)))

    def put(self, batch: Sequence[int], statistics: Statistics) -> None:
        """Store the statistics of the examples at these indices, whose tokens are concatenated."""
        tokens = np.concatenate([np.arange(self.offsets[i], self.offsets[i + 1]) for i in batch])
        example = np.repeat(batch, [self.counts[i] for i in batch])
        columns, is_argmax, tempered = statistics
        for name, values in zip(_COLUMNS, columns, strict=True):
            self.columns[name][tokens] = values
        self.is_argmax[tokens] = is_argmax
        np.add.at(self.tempered, example, tempered.astype(np.float64))

    def scores(self, truncated: int) -> Scores:
        """The scores of all examples."""
        ids = [t for e in self.encoded for t in e.solution_ids]
        return Scores(
            tuple(e.example_id for e in self.encoded),
            self.offsets,
            np.array(ids, dtype=np.int32),
            **self.columns,
            mean_logprob=-self.columns["entropy"],
            is_argmax=self.is_argmax,
            tempered_nll=self.tempered,
            truncated=truncated,
        )


@torch.inference_mode()
def _batch_statistics(model: Model, encoded: Sequence[Encoded]) -> Statistics:
    rows = [[*e.prompt_ids, *e.solution_ids] for e in encoded]
    width = max(map(len, rows))
    ids = torch.tensor([r + [0] * (width - len(r)) for r in rows], device=model.device)  # [rows width]
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
    labels = torch.tensor([t for e in encoded for t in e.solution_ids], device=model.device)
    inner: Any = base_of(model)
    row, column = solution_positions(
        [len(e.solution_ids) for e in encoded], [len(e.prompt_ids) - 1 for e in encoded], model.device
    )
    if not has_plain_head(inner):
        logits = inner(input_ids=ids, attention_mask=mask, use_cache=False).logits[row, column]  # [tokens vocab]
        return _in_chunks([(logits.float(), labels)])
    hidden = inner.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return statistics(inner, hidden[row, column], labels)  # [rows time hidden] -> [tokens hidden]


def solution_positions(
    counts: Sequence[int], starts: Sequence[int], device: torch.device
) -> tuple[Int[Tensor, " tokens"], Int[Tensor, " tokens"]]:
    """Row and column of every state that predicts a solution token, row by row.

    Indices, because a boolean mask would synchronize with the accelerator to count its entries.

    Args:
        counts: solution tokens of each row.
        starts: column that predicts each row's first one.
        device: where the states are.
    """
    rows = [row for row, count in enumerate(counts) for _ in range(count)]
    columns = [start + i for count, start in zip(counts, starts, strict=True) for i in range(count)]
    return torch.tensor(rows, device=device), torch.tensor(columns, device=device)


def statistics(inner: Any, hidden: Float[Tensor, "tokens hidden"], labels: Int[Tensor, " tokens"]) -> Statistics:
    """Statistics of the labels that follow these last hidden states of a transformers model."""
    head = head_of(inner)
    if head.weight.device.type == "cpu":  # a bfloat16 product is rounded there: an error of 0.06 in a logit of 20
        head = replace(head, weight=head.weight.float())
        hidden = hidden.float()
    size = logit_rows(head.weight.device, len(head.weight))
    starts = range(0, len(labels), size)
    return _in_chunks((logits_of(head, hidden[i : i + size]), labels[i : i + size]) for i in starts)


def _in_chunks(rows: Iterable[tuple[Tensor, Tensor]]) -> Statistics:
    """The statistics of all tokens, from chunks of (logits, labels)."""
    parts = [_statistics(logits, labels) for logits, labels in rows]
    columns, argmax, tempered = (torch.cat(p, -1).cpu().numpy() for p in zip(*parts, strict=True))
    return columns, argmax, tempered.T


def _statistics(
    logits: Float[Tensor, "tokens vocab"], labels: Int[Tensor, " tokens"]
) -> tuple[Float[Tensor, "4 tokens"], Tensor, Float[Tensor, "temperatures tokens"]]:
    """(label logprob, entropy, top-1 logprob, sd of log p under p), argmax hits, nll at each temperature.

    This takes over twenty passes over the logits, so on a CPU only a few rows at a time, in two buffers that fit its
    cache.
    """
    size = max(1, _BLOCK // logits.shape[1]) if logits.device.type == "cpu" else max(1, len(logits))
    buffers = logits.new_empty(2, min(size, len(logits)), logits.shape[1])
    starts = range(0, len(labels), size)
    parts = [_block_statistics(logits[i : i + size], labels[i : i + size, None], buffers) for i in starts]
    statistics, argmax, tempered = (torch.cat(p, -1) for p in zip(*parts, strict=True))
    return statistics, argmax, tempered


def _block_statistics(
    logits: Float[Tensor, "tokens vocab"], labels: Int[Tensor, "tokens 1"], buffers: Float[Tensor, "2 rows vocab"]
) -> tuple[Float[Tensor, "4 tokens"], Tensor, Float[Tensor, "temperatures tokens"]]:
    logprobs, other = buffers[:, : len(logits)]
    torch.log_softmax(logits, -1, out=logprobs)
    label = logprobs.gather(1, labels)[:, 0]
    top = logprobs.max(-1)
    torch.exp(logprobs, out=other)
    mean = torch.linalg.vecdot(other, logprobs)
    square = torch.linalg.vecdot(other.mul_(logprobs), logprobs)
    sd = (square - mean.square()).clamp(min=0).sqrt()
    tempered = []
    for temperature in TEMPERATURES:
        if temperature != 1.0:
            torch.mul(logits, 1 / temperature, out=other)
            torch.log_softmax(other, -1, out=other)
        tempered.append(-label if temperature == 1.0 else -other.gather(1, labels)[:, 0])
    return torch.stack([label, -mean, top.values, sd]), top.indices == labels[:, 0], torch.stack(tempered)
