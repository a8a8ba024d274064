"""How long the work takes, from what each part of it costs.

Scoring costs by the token. A completion costs by the prompt token, then every step costs something whatever its rows
(the weights are read once) and something for each of them:

    scores    scored x (prompt and solution tokens)
    samples   prefill x (prompt tokens) + step x steps + row x (tokens of all completions)
    both      the two together, but the prompts are read once

where steps are those of the longest completion, and as many again as rows wait for a place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from overmem.observe.engines.decoding import Decoding, cache_shape
from overmem.observe.plan import Split

_NEVER_NOTHING = 1e-9


@dataclass(frozen=True)
class Throughput:
    """Seconds that each part of the work costs on this machine, and what else the warm-up saw."""

    decoding: Decoding
    token_budget: int
    loading: float = 0.0
    """Seconds that it takes to put the weights of a checkpoint in place."""
    scored: float = 0.0
    """Seconds per token of prompt and solution."""
    prefill: float = 0.0
    """Seconds per prompt token that is read before completing."""
    step: float = 0.0
    """Seconds per step of completing, beside what each row costs."""
    row: float = 0.0
    """Seconds per row of a step."""
    length: float = 0.0
    """Tokens of a completion, on average."""
    longest: int = 0
    """Tokens of the longest completion."""
    nll_spread: float = 0.0
    """Standard error of the nll per token times the root of the number of examples, in nats."""
    memory: int = 0
    """Bytes at the peak, weights and all: of the process on a CPU, else of the accelerator. 0 where it is not known."""
    spent: float = 0.0
    """Seconds that it took to measure all this."""

    def seconds(self, split: Split, kinds: Sequence[str]) -> float:
        """Of the units of work of these kinds."""
        return self._seconds(split, kinds, self.length, self.longest)

    def most_seconds(self, split: Split, kinds: Sequence[str]) -> float:
        """The same, were every completion as long as it may be."""
        limit = self.decoding.max_new_tokens
        return self._seconds(split, kinds, float(limit), limit)

    def _seconds(self, split: Split, kinds: Sequence[str], length: float, longest: int) -> float:
        found = _NEVER_NOTHING
        if "scores" in kinds:
            found += self.scored * sum(len(e.input_ids) for e in split.encoded)
        if "samples" in kinds:
            found += self._completing(split, length, longest)
            found += 0.0 if "scores" in kinds else self.prefill * sum(len(e.prompt_ids) for e in split.encoded)
        return found

    def _completing(self, split: Split, length: float, longest: int) -> float:
        """Seconds that the steps of a split's completions take at a mean and a greatest length."""
        prompts = [len(e.prompt_ids) for e in split.encoded]
        rows = len(prompts) * self.decoding.repeats
        slots, _ = cache_shape(prompts, self.decoding, self.token_budget)
        steps = longest + length * max(0.0, rows / max(1, slots) - 1)
        return self.step * steps + self.row * rows * length

    def generated(self, split: Split) -> int:
        """Tokens of all completions of a split, as far as the warm-up can tell."""
        return round(self.length * len(split.encoded) * self.decoding.repeats)
