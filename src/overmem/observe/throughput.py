"""Estimates how long the work takes.

Scoring costs time per token. A completion costs time per prompt token, then every decoding step has a fixed cost (the
weights are read once) and a cost for each row:

    scores    scored x (prompt and solution tokens)
    samples   prefill x (prompt tokens) + step x steps + row x (tokens of all completions)
    both      the sum, but the prompts are read once

where steps are those of the longest completion, plus those while rows wait for a free slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from overmem.observe.engines.decoding import Decoding, cache_shape
from overmem.observe.plan import Split

_LEAST = 1e-9
"""Seconds of a unit at least, so that a total is never zero."""


@dataclass(frozen=True)
class Throughput:
    """Seconds per part of the work on this machine, and other results of the warm-up."""

    decoding: Decoding
    token_budget: int
    loading: float = 0.0
    """Seconds to load the weights of a checkpoint."""
    scored: float = 0.0
    """Seconds per token of prompt and solution."""
    prefill: float = 0.0
    """Seconds per prompt token of a prefill."""
    step: float = 0.0
    """Seconds per decoding step, whatever its number of rows."""
    row: float = 0.0
    """Seconds per row of a decoding step, in addition."""
    length: float = 0.0
    """Tokens of a completion, on average."""
    longest: int = 0
    """Tokens of the longest completion."""
    nll_spread: float = 0.0
    """Standard error of the nll per token times the square root of the number of examples, in nats."""
    memory: int = 0
    """Peak bytes, including the weights: of the process on a CPU, else of the accelerator. 0 if unknown."""
    spent: float = 0.0
    """Seconds that the warm-up took."""

    def seconds(self, split: Split, kinds: Sequence[str]) -> float:
        """Seconds that the units of these kinds of one split take."""
        return self._seconds(split, kinds, self.length, self.longest)

    def most_seconds(self, split: Split, kinds: Sequence[str]) -> float:
        """The same if every completion reaches its length limit."""
        limit = self.decoding.max_new_tokens
        return self._seconds(split, kinds, float(limit), limit)

    def _seconds(self, split: Split, kinds: Sequence[str], length: float, longest: int) -> float:
        total = _LEAST
        if "scores" in kinds:
            total += self.scored * sum(len(e.input_ids) for e in split.encoded)
        if "samples" in kinds:
            total += self._completing(split, length, longest)
            total += 0.0 if "scores" in kinds else self.prefill * sum(len(e.prompt_ids) for e in split.encoded)
        return total

    def _completing(self, split: Split, length: float, longest: int) -> float:
        """Seconds that the decoding steps of a split take, from the mean and the greatest length of a completion."""
        prompts = [len(e.prompt_ids) for e in split.encoded]
        rows = len(prompts) * self.decoding.repeats
        slots, _ = cache_shape(prompts, self.decoding, self.token_budget)
        steps = longest + length * max(0.0, rows / max(1, slots) - 1)
        return self.step * steps + self.row * rows * length

    def generated(self, split: Split) -> int:
        """Expected number of tokens of all completions of a split."""
        return round(self.length * len(split.encoded) * self.decoding.repeats)


def format_duration(seconds: float) -> str:
    """A time in words: 20 seconds, 5 minutes, 2.5 hours.

    >>> format_duration(0.2), format_duration(1.3), format_duration(20)
    ('less than a second', '1 second', '20 seconds')
    """
    if seconds < 0.5:
        return "less than a second"
    if seconds < 90:
        return "1 second" if seconds < 1.5 else f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
