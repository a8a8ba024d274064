"""A key-value cache that rows can join and leave during decoding, with one buffer per layer that is written in place.

transformers' DynamicCache copies every layer at every step, its StaticCache keeps finished rows, and neither lets rows
join. Here all rows end in the same column, whatever their length:

    column  0 1 2 3 4 5 6 7
    row 0   q q q q q q a a
    row 1   . . q q q a a a      . is masked
    row 2   . . . . . q q a      joined one step ago

A step writes one column. When a row leaves, the last row is moved to its place. A new row is aligned with the end of
the others. When the last column is full, the columns in use are moved to the start of the buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


def make_cache(config: Any, slots: int, columns: int) -> "SlotKVCache | BatchKVCache":
    """The cache for a model: a SlotKVCache if it has only keys and values, else a BatchKVCache.

    Args:
        config: the model's configuration.
        slots: most rows at a time.
        columns: tokens of the longest row, plus spare columns if rows will join and leave.
    """
    layers = [type(layer) for layer in DynamicCache(config=config).layers]
    plain = set(layers) <= {DynamicLayer, DynamicSlidingWindowLayer} and not _is_chunked(config)
    return SlotKVCache(len(layers), slots, columns) if plain else BatchKVCache(config=config)


def keeps_all(config: Any) -> bool:
    """Whether every layer keeps the keys and values of all tokens, so that decoding can continue from any prefix."""
    return {type(layer) for layer in DynamicCache(config=config).layers} == {DynamicLayer} and not _is_chunked(config)


def _is_chunked(config: Any) -> bool:
    return getattr(config.get_text_config(), "attention_chunk_size", None) is not None


def bytes_per_token(model: Any) -> int:
    """Bytes of the keys and values of one token, in all layers; 0 if the configuration does not say."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1
    groups = getattr(config, "num_key_value_heads", None) or getattr(config, "num_attention_heads", 0)
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * groups * head * next(model.parameters()).element_size())


@dataclass
class _Window:
    """The part of each layer's buffer that is in use: rows 0 to `rows`, columns `start` to `end`."""

    slots: int
    columns: int
    rows: int = 0
    start: int = 0
    end: int = 0


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers' __init_subclass__ has no types
    """The buffer of one layer. Layers with a sliding window keep all tokens; the mask hides those outside."""

    keys: Tensor
    values: Tensor

    def __init__(self, window: _Window) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window = window

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the buffers with zeros: masked columns are multiplied by 0, so they must be finite."""
        self.dtype, self.device = key_states.dtype, key_states.device
        shape = self.window.slots, key_states.shape[1], self.window.columns
        self.keys, self.values = (s.new_zeros(*shape, s.shape[-1]) for s in (key_states, value_states))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the column of this step, one token per row; returns the keys and values in use."""
        w = self.window
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer[: w.rows, :, w.end] = states[:, :, 0]
        return (
            self.keys[: w.rows, :, w.start : w.end + 1],
            self.values[: w.rows, :, w.start : w.end + 1],
        )

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.window.end - self.window.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The number of columns that the mask covers, and the first of them."""
        return self.get_seq_length() + query_length, 0

    def join(self, keys: Float[Tensor, "new heads time dim"], values: Tensor, repeats: int) -> None:
        """Append rows, each `repeats` times, so that their last token is in the last column."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        w = self.window
        for buffer, states in ((self.keys, keys), (self.values, values)):
            new, _, time, _ = states.shape
            target = buffer[w.rows : w.rows + new * repeats, :, w.end - time : w.end]
            target.view(new, repeats, *target.shape[1:]).copy_(states[:, None])

    def move(self, sources: Tensor, holes: Tensor) -> None:
        """Move the rows `sources` to the rows `holes`."""
        w = self.window
        for buffer in (self.keys, self.values):
            buffer[holes, :, w.start : w.end] = buffer[sources, :, w.start : w.end]

    def move_back(self) -> None:
        """Move the columns in use to the start of the buffer."""
        w = self.window
        for buffer in (self.keys, self.values):
            buffer[: w.rows, :, : w.end - w.start] = buffer[: w.rows, :, w.start : w.end].clone()


class SlotKVCache(Cache):
    """The cache described above. Rows must join in descending order of prompt length."""

    refills = True
    """Whether rows can join while others are in progress."""

    def __init__(self, layers: int, slots: int, columns: int) -> None:
        self.window = _Window(slots, columns)
        self.buffers = [_Layer(self.window) for _ in range(layers)]
        super().__init__(layers=list(self.buffers))

    @property
    def width(self) -> int:
        """Columns in use."""
        return self.window.end - self.window.start

    def join(self, prefilled: DynamicCache, prompts: int, width: int, repeats: int) -> None:
        """Append the prefilled keys and values of prompts, each `repeats` times.

        Args:
            prefilled: the model's cache after the prefill.
            prompts: number of prompts.
            width: their padded length.
            repeats: rows per prompt.
        """
        w = self.window
        if not w.rows:
            w.start, w.end = 0, width
        new: Any  # its layers hold keys and values, or there would be no `SlotKVCache`
        for buffer, new in zip(self.buffers, prefilled.layers, strict=True):
            buffer.join(new.keys, new.values, repeats)
        w.rows += prompts * repeats

    def advance(self) -> None:
        """Count the column of the last step as in use."""
        self.window.end += 1

    def keep(self, rows: Sequence[int], longest: int) -> list[int]:
        """Keep only these rows, of which the longest has `longest` tokens; returns them in their new order."""
        w = self.window
        order = list(range(len(rows)))
        holes = sorted(set(order) - set(rows))
        sources = [row for row in rows if row >= len(rows)]
        w.start = w.end - longest
        if holes:
            indices = torch.tensor([sources, holes], device=self.buffers[0].device)
            for buffer in self.buffers:
                buffer.move(indices[0], indices[1])
            for hole, source in zip(holes, sources, strict=True):
                order[hole] = source
        w.rows = len(rows)
        if w.end == w.columns and w.start:
            for buffer in self.buffers:
                buffer.move_back()
            w.start, w.end = 0, longest
        return order


class BatchKVCache(DynamicCache):
    """transformers' cache, for models with recurrent or compressed states: rows can leave, but not join others."""

    refills = False
    width = 0
    """Columns in use."""
    rows = 0
    """Rows in use."""

    def join(self, prefilled: DynamicCache, prompts: int, width: int, repeats: int) -> None:
        """Take the state of prompts after their prefill, each `repeats` times; otherwise like SlotKVCache.join."""
        self.layers, self.width, self.rows = prefilled.layers, width, prompts * repeats
        if repeats > 1:
            self._take(torch.arange(prompts).repeat_interleave(repeats))

    def advance(self) -> None:
        """Count the column of the last step as in use."""
        self.width += 1

    def keep(self, rows: Sequence[int], longest: int) -> list[int]:
        """Keep only these rows; returns them."""
        if 0 < len(rows) < self.rows:
            self._take(torch.tensor(rows))
        self.rows = len(rows)
        return list(rows)

    def _take(self, rows: Any) -> None:
        for layer in self.layers:
            layer.reorder_cache(rows)
