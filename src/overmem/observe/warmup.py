"""The throughput of this machine, by doing a little of the work: the longest example, and others evenly spaced."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import torch

from overmem.encoding import Encoded
from overmem.models.loading import Model
from overmem.observe.completions import clamp_to_context, stop_ids
from overmem.observe.engines.decoding import Completion, Decoding, PromptBatch, cache_shape
from overmem.observe.engines.hf import completions
from overmem.observe.engines.kv_cache import bytes_a_token
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.observe.throughput import Throughput
from overmem.statistics import ratio_stderr

_FEW, _MANY = 8, 64
"""Examples that are scored, at least and at most."""
_ALONE = 8
"""Steps of a single row, which measure the fixed cost of a step."""


def measure_throughput(
    model: Model, tokenizer: Any, splits: Sequence[Split], decoding: Decoding, *, token_budget: int, seconds: float
) -> Throughput:
    """The throughput of scoring and of completing, each tried for about `seconds`.

    A completion that is cut short counts as long as the reference solutions, or half as long again as it was by then.
    """
    start = time.perf_counter()
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    pace = Throughput(decoding, token_budget)
    if some := _spread([e for s in splits for e in s.encoded], _MANY):
        pace = _scored(pace, model, some, seconds)
    if sampled := [s for s in splits if "samples" in s.kinds and s.encoded]:
        pace = _completed(pace, model, stop_ids(model, tokenizer), max(sampled, key=lambda s: len(s.encoded)), seconds)
    return replace(pace, memory=pace.memory + _peak(model), spent=time.perf_counter() - start)


def _spread(encoded: Sequence[Encoded], count: int) -> list[Encoded]:
    """The longest example, and others evenly from all."""
    if not encoded:
        return []
    longest = max(range(len(encoded)), key=lambda i: len(encoded[i].input_ids))
    others = np.linspace(0, len(encoded) - 1, min(count, len(encoded))).astype(int).tolist()
    return [encoded[longest], *(encoded[i] for i in others if i != longest)][:count]


def _scored(pace: Throughput, model: Model, encoded: Sequence[Encoded], seconds: float) -> Throughput:
    scores(model, encoded[:1], token_budget=pace.token_budget)  # the first pass of all is slower
    start = time.perf_counter()
    observed = scores(model, encoded[:_FEW], token_budget=pace.token_budget)
    took, done = time.perf_counter() - start, encoded[:_FEW]
    if more := encoded[_FEW : int(_FEW * max(1.0, seconds / max(took, 1e-9)))]:
        start = time.perf_counter()
        observed = scores(model, more, token_budget=pace.token_budget)
        took, done = time.perf_counter() - start, more
    sums, counts = observed.nll_sums, observed.token_counts.astype(np.float64)
    spread = ratio_stderr(sums, counts) * sqrt(len(sums)) if len(sums) > 1 else 0.0
    return replace(pace, scored=took / sum(len(e.input_ids) for e in done), nll_spread=spread)


def _completed(pace: Throughput, model: Model, stops: Sequence[int], split: Split, seconds: float) -> Throughput:
    decoding = clamp_to_context(model, split, pace.decoding)
    slots, columns = cache_shape([len(e.prompt_ids) for e in split.encoded], decoding, pace.token_budget)
    reading = pace.scored * sum(len(e.prompt_ids) for e in split.encoded) / len(split.encoded)
    at_once = max(1, slots // decoding.repeats)
    some = _spread(split.encoded, max(1, min(at_once, int(seconds / 2 / max(reading, 1e-9)))))
    watched = _Watched(model, seconds)
    ended = watched.completing([e.prompt_ids for e in some], decoding, stops, pace.token_budget)
    alone = _Watched(model, seconds / 2)
    shortest = min(some, key=lambda e: len(e.prompt_ids))
    alone.completing([shortest.prompt_ids], Decoding(0, max_new_tokens=1 + _ALONE), (), pace.token_budget)
    steps, single = watched.steps, alone.steps
    rows = float(np.mean([r for r, _ in steps])) if steps else 1.0
    each, least = (float(np.mean([s for _, s in done])) if done else 0.0 for done in (steps, single))
    row = max(0.0, each - least) / (rows - 1) if rows > 1 else 0.0
    lengths = [len(completion.token_ids) + (completion.stop == "eos") for completion in ended]
    cut = len(some) * decoding.repeats - len(lengths)
    usual = split.solution_tokens / len(split.encoded)
    guess = min(decoding.max_new_tokens, max(usual, 1.5 * (1 + len(steps))))
    missing = max(0, slots * columns - len(some) * decoding.repeats * columns)
    return replace(
        pace,
        prefill=watched.reading / sum(len(e.prompt_ids) for e in some),
        step=max(0.0, (least if single else each) - row),
        row=row,
        length=(sum(lengths) + cut * guess) / (len(lengths) + cut),
        longest=decoding.max_new_tokens if cut else max(lengths),
        memory=missing * bytes_a_token(model),
    )


class _Enough(Exception):
    """The time is up."""


class _Watched:
    """A model that records when it is called, and stops when the time is up."""

    def __init__(self, model: Model, seconds: float) -> None:
        self.model, self.limit = model, seconds
        self.config, self.device = model.config, model.device
        self.shapes: list[tuple[int, int]] = []
        self.times: list[float] = []

    def __call__(self, *, input_ids: torch.Tensor, **more: Any) -> Any:
        """The model's own output."""
        self.times.append(time.perf_counter())
        if self.times[-1] - self.times[0] > self.limit and len(self.steps) > 1:
            raise _Enough
        self.shapes.append((input_ids.shape[0], input_ids.shape[1]))
        return self.model(input_ids=input_ids, **more)

    def completing(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, stops: Sequence[int], token_budget: int
    ) -> list[Completion]:
        """The completions that end in time."""
        ended = []
        names = [str(i) for i in range(len(prompts))]
        try:
            batch = PromptBatch(prompts, names, decoding, stops)
            for completion in completions(self, batch, token_budget=token_budget):
                ended.append(completion)
        except _Enough:
            return ended
        self.times.append(time.perf_counter())
        return ended

    @property
    def passes(self) -> list[tuple[int, int, float]]:
        """(rows, tokens of each, seconds) of every forward pass that is over, with all that followed it."""
        ends = zip(self.shapes, self.times, self.times[1:], strict=False)
        return [(rows, width, end - start) for (rows, width), start, end in ends]

    @property
    def steps(self) -> list[tuple[int, float]]:
        """(rows, seconds) of every pass that gave rows their next token."""
        return [(rows, seconds) for rows, width, seconds in self.passes if width == 1]

    @property
    def reading(self) -> float:
        """Seconds of all passes that read prompts."""
        return sum(seconds for _, width, seconds in self.passes if width > 1)


def _peak(model: Model) -> int:
    """Bytes at the peak so far: of the process on a CPU (all that it ever held), else of the accelerator."""
    if model.device.type == "cuda":
        return torch.cuda.max_memory_allocated(model.device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
