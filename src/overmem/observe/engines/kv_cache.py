"""Keys and values of rows that come and go while they are completed, in one buffer a layer that is written in place.

transformers' DynamicCache copies every layer at every step, and lets no row in; its StaticCache keeps rows that have
ended, and lets none in either. Here all rows end in the same column, whatever their length:

    column  0 1 2 3 4 5 6 7
    row 0   q q q q q q a a
    row 1   . . q q q a a a      . is not attended to
    row 2   . . . . . q q a      came one step ago

A step writes one column. The last row takes the place of one that leaves. A row that comes is copied to end where the
others end. When the last column is full, the window in use moves back to the first one.
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
    """The cache for a model of this configuration: by slot where it has only keys and values, else by batch.

    Args:
        config: the model's.
        slots: rows at once, at most.
        columns: tokens of the longest row, and some to spare if rows will come and go.
    """
    layers = [type(layer) for layer in DynamicCache(config=config).layers]
    plain = set(layers) <= {DynamicLayer, DynamicSlidingWindowLayer} and not _is_chunked(config)
    return SlotKVCache(len(layers), slots, columns) if plain else BatchKVCache(config=config)


def keeps_all(config: Any) -> bool:
    """Whether every layer keeps the keys and values of every token, and nothing else: a text can be gone on with."""
    return {type(layer) for layer in DynamicCache(config=config).layers} == {DynamicLayer} and not _is_chunked(config)


def _is_chunked(config: Any) -> bool:
    return getattr(config.get_text_config(), "attention_chunk_size", None) is not None


def bytes_a_token(model: Any) -> int:
    """Bytes of the keys and values of one token, in all layers; 0 where the configuration does not say."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1
    groups = getattr(config, "num_key_value_heads", None) or getattr(config, "num_attention_heads", 0)
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return int(2 * config.num_hidden_layers * groups * head * next(model.parameters()).element_size())


@dataclass
class _Window:
    """The part of every layer's buffer that is in use: rows 0 to `rows`, columns `start` to `end`."""

    slots: int
    columns: int
    rows: int = 0
    start: int = 0
    end: int = 0


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers' __init_subclass__ has no types
    """One layer's buffer. Sliding windows are kept whole: the mask hides what they have left behind."""

    keys: Tensor
    values: Tensor

    def __init__(self, window: _Window) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window = window

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room, of zeros: columns that are masked are multiplied by 0, and must be finite for that."""
        self.dtype, self.device = key_states.dtype, key_states.device
        shape = self.window.slots, key_states.shape[1], self.window.columns
        self.keys, self.values = (s.new_zeros(*shape, s.shape[-1]) for s in (key_states, value_states))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the column of this step, one token a row; returns all that is in use."""
        w = self.window
        found = []
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer[: w.rows, :, w.end] = states[:, :, 0]
            found.append(buffer[: w.rows, :, w.start : w.end + 1])
        return found[0], found[1]

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.window.end - self.window.start

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns in use and of this step, and the first one that the mask speaks of."""
        return self.get_seq_length() + query_length, 0

    def join(self, keys: Float[Tensor, "new heads time dim"], values: Tensor, repeats: int) -> None:
        """Copy rows behind those in use, each `repeats` times, so that their last token lies in the last column."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        w = self.window
        for buffer, states in ((self.keys, keys), (self.values, values)):
            new, _, time, _ = states.shape
            place = buffer[w.rows : w.rows + new * repeats, :, w.end - time : w.end]
            place.view(new, repeats, *place.shape[1:]).copy_(states[:, None])

    def move(self, sources: Tensor, holes: Tensor) -> None:
        """Put the rows `sources` in the places of the rows `holes`."""
        w = self.window
        for buffer in (self.keys, self.values):
            buffer[holes, :, w.start : w.end] = buffer[sources, :, w.start : w.end]

    def move_back(self) -> None:
        """Put the columns in use first."""
        w = self.window
        for buffer in (self.keys, self.values):
            buffer[: w.rows, :, : w.end - w.start] = buffer[: w.rows, :, w.start : w.end].clone()


class SlotKVCache(Cache):
    """The cache described above. Rows must come longest prompt first, so that a new one is never longer than all."""

    refills = True
    """Whether rows can join others that are under way."""

    def __init__(self, layers: int, slots: int, columns: int) -> None:
        self.window = _Window(slots, columns)
        self.buffers = [_Layer(self.window) for _ in range(layers)]
        super().__init__(layers=list(self.buffers))

    @property
    def width(self) -> int:
        """Columns in use."""
        return self.window.end - self.window.start

    def join(self, prefilled: DynamicCache, prompts: int, width: int, repeats: int) -> None:
        """Take in what the model made of prompts padded to `width`, each `repeats` times, behind the rows there are."""
        w = self.window
        if not w.rows:
            w.start, w.end = 0, width
        new: Any  # its layers hold keys and values, or there would be no `SlotKVCache`
        for buffer, new in zip(self.buffers, prefilled.layers, strict=True):
            buffer.join(new.keys, new.values, repeats)
        w.rows += prompts * repeats

    def advance(self) -> None:
        """A step was made: one more column is in use."""
        self.window.end += 1

    def keep(self, rows: Sequence[int], longest: int) -> list[int]:
        """Keep these rows, the longest of which has so many tokens; returns which row each place holds now."""
        w = self.window
        order = list(range(len(rows)))
        holes = sorted(set(order) - set(rows))
        sources = [row for row in rows if row >= len(rows)]
        w.start = w.end - longest
        if holes:
            at = torch.tensor([sources, holes], device=self.buffers[0].device)
            for buffer in self.buffers:
                buffer.move(at[0], at[1])
            for hole, source in zip(holes, sources, strict=True):
                order[hole] = source
        w.rows = len(rows)
        if w.end == w.columns and w.start:
            for buffer in self.buffers:
                buffer.move_back()
            w.start, w.end = 0, longest
        return order


class BatchKVCache(DynamicCache):
    """transformers' own cache, for models with recurrent or compressed states: rows leave it, but none join others."""

    refills = False
    width = 0
    """Columns in use."""
    rows = 0
    """Rows in use."""

    def join(self, prefilled: DynamicCache, prompts: int, width: int, repeats: int) -> None:
        """Become what the model made of prompts padded to `width`, each `repeats` times."""
        self.layers, self.width, self.rows = prefilled.layers, width, prompts * repeats
        if repeats > 1:
            self._take(torch.arange(prompts).repeat_interleave(repeats))

    def advance(self) -> None:
        """A step was made: one more column is in use."""
        self.width += 1

    def keep(self, rows: Sequence[int], longest: int) -> list[int]:
        """Keep these rows; returns them."""
        if 0 < len(rows) < self.rows:
            self._take(torch.tensor(rows))
        self.rows = len(rows)
        return list(rows)

    def _take(self, rows: Any) -> None:
        for layer in self.layers:
            layer.reorder_cache(rows)
