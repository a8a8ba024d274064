"""How long the work will take, measured on this machine before it begins."""

import time
from dataclasses import dataclass, replace
from typing import Any

from overmem.observe.grade import samples
from overmem.observe.plan import Split
from overmem.observe.sample import Decoding
from overmem.observe.score import scores


@dataclass
class Pace:
    """Seconds per scored token and per decoding step on this machine, by a short warm-up."""

    decoding: Decoding
    token_budget: int
    per_scored_token: float = 0.0
    per_decoded_token: float = 0.0

    def measure(self, model: Any, split: Split, tokenizer: Any) -> None:
        """Score eight examples and draw one batch of eight tokens."""
        some = replace(split, encoded=split.encoded[:8])
        if not some.encoded:
            return
        scores(model, some.encoded[:1], token_budget=self.token_budget)
        start = time.perf_counter()
        scores(model, some.encoded, token_budget=self.token_budget)
        tokens = sum(len(e.input_ids) for e in some.encoded)
        self.per_scored_token = (time.perf_counter() - start) / tokens
        short = replace(self.decoding, max_new_tokens=8)
        rows = max(1, self.token_budget // max(1, self._length(split)))
        many = replace(split, encoded=split.encoded[: max(1, rows // (1 + short.draws))])
        start = time.perf_counter()
        samples(model, tokenizer, many, short, self.token_budget)
        self.per_decoded_token = (time.perf_counter() - start) / (8 * len(many.encoded) * (1 + short.draws))

    def _length(self, split: Split) -> int:
        return self.decoding.max_new_tokens + max((len(e.prompt_ids) for e in split.encoded), default=0)

    def seconds(self, split: Split, kind: str) -> float:
        """Estimated work of one unit, completions taken to be as long as the reference solutions."""
        if kind == "scores":
            return 1e-9 + self.per_scored_token * sum(len(e.input_ids) for e in split.encoded)
        return 1e-9 + self.per_decoded_token * split.solution_tokens * (1 + self.decoding.draws)
