"""Measures the throughput of this machine on a sample of the work: the longest example and evenly spaced others."""

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
from overmem.observe.engines.kv_cache import bytes_per_token
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.observe.throughput import Throughput
from overmem.statistics import ratio_stderr

_FEW, _MANY = 8, 64
"""Fewest and most examples to score."""
_SINGLE_ROW_STEPS = 8
"""Decoding steps of a single row, which measure the fixed cost of a step."""


def measure_throughput(
    model: Model, tokenizer: Any, splits: Sequence[Split], decoding: Decoding, *, token_budget: int, seconds: float
) -> Throughput:
    """The throughput of scoring and of completing, each tried for about `seconds`.

    A completion that does not end in time is assumed to be as long as the reference solutions, or one and a half times
    its length so far, if that is more.

    Args:
        model: a checkpoint.
        tokenizer: its tokenizer.
        splits: the splits to observe.
        decoding: how completions are sampled.
        token_budget: most padded tokens in one forward pass.
        seconds: time for scoring, and again for completing.
    """
    start = time.perf_counter()
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(model.device)
    throughput = Throughput(decoding, token_budget)
    if examples := _sample([e for s in splits for e in s.encoded], _MANY):
        throughput = _with_scoring(throughput, model, examples, seconds)
    if sampled := [s for s in splits if "samples" in s.kinds and s.encoded]:
        largest = max(sampled, key=lambda s: len(s.encoded))
        throughput = _with_completing(throughput, model, stop_ids(model, tokenizer), largest, seconds)
    return replace(throughput, memory=throughput.memory + _peak(model), spent=time.perf_counter() - start)


def _sample(encoded: Sequence[Encoded], count: int) -> list[Encoded]:
    """The longest example, and evenly spaced others."""
    if not encoded:
        return []
    longest = max(range(len(encoded)), key=lambda i: len(encoded[i].input_ids))
    others = np.linspace(0, len(encoded) - 1, min(count, len(encoded))).astype(int).tolist()
    return [encoded[longest], *(encoded[i] for i in others if i != longest)][:count]


def _with_scoring(throughput: Throughput, model: Model, encoded: Sequence[Encoded], seconds: float) -> Throughput:
    """The throughput with the speed of scoring and the spread of the nll."""
    scores(model, encoded[:1], token_budget=throughput.token_budget)  # the first pass is slower
    start = time.perf_counter()
    observed = scores(model, encoded[:_FEW], token_budget=throughput.token_budget)
    took, done = time.perf_counter() - start, encoded[:_FEW]
    if more := encoded[_FEW : int(_FEW * max(1.0, seconds / max(took, 1e-9)))]:
        start = time.perf_counter()
        observed = scores(model, more, token_budget=throughput.token_budget)
        took, done = time.perf_counter() - start, more
    sums, counts = observed.nll_sums, observed.token_counts.astype(np.float64)
    spread = ratio_stderr(sums, counts) * sqrt(len(sums)) if len(sums) > 1 else 0.0
    return replace(throughput, scored=took / sum(len(e.input_ids) for e in done), nll_spread=spread)


def _with_completing(
    throughput: Throughput, model: Model, stops: Sequence[int], split: Split, seconds: float
) -> Throughput:
    """The throughput with the speed of prefills and decoding steps, the length of completions and the memory.

    Args:
        throughput: with the speed of scoring.
        model: a checkpoint.
        stops: tokens that end a completion.
        split: the split to complete.
        seconds: time to take.
    """
    decoding = clamp_to_context(model, split, throughput.decoding)
    slots, columns = cache_shape([len(e.prompt_ids) for e in split.encoded], decoding, throughput.token_budget)
    prefill_seconds = throughput.scored * sum(len(e.prompt_ids) for e in split.encoded) / len(split.encoded)
    prompts_at_once = max(1, slots // decoding.repeats)
    examples = _sample(split.encoded, max(1, min(prompts_at_once, int(seconds / 2 / max(prefill_seconds, 1e-9)))))
    full = _TimedModel(model, seconds)
    ended = full.completions([e.prompt_ids for e in examples], decoding, stops, throughput.token_budget)
    single = _TimedModel(model, seconds / 2)
    shortest = min(examples, key=lambda e: len(e.prompt_ids))
    one_row = Decoding(0, max_new_tokens=1 + _SINGLE_ROW_STEPS)
    single.completions([shortest.prompt_ids], one_row, (), throughput.token_budget)
    rows = float(np.mean([r for r, _ in full.steps])) if full.steps else 1.0
    full_step, single_step = (
        float(np.mean([s for _, s in timed.steps])) if timed.steps else 0.0 for timed in (full, single)
    )
    row = max(0.0, full_step - single_step) / (rows - 1) if rows > 1 else 0.0
    lengths = [len(completion.token_ids) + (completion.stop == "eos") for completion in ended]
    unfinished = len(examples) * decoding.repeats - len(lengths)
    solution_length = split.solution_tokens / len(split.encoded)
    assumed = min(decoding.max_new_tokens, max(solution_length, 1.5 * (1 + len(full.steps))))
    not_allocated = max(0, slots * columns - len(examples) * decoding.repeats * columns)
    return replace(
        throughput,
        prefill=full.prefill_seconds / sum(len(e.prompt_ids) for e in examples),
        step=max(0.0, (single_step if single.steps else full_step) - row),
        row=row,
        length=(sum(lengths) + unfinished * assumed) / (len(lengths) + unfinished),
        longest=decoding.max_new_tokens if unfinished else max(lengths),
        memory=not_allocated * bytes_per_token(model),
    )


class _TimeIsUp(Exception):
    """Raised to stop completing."""


class _TimedModel:
    """A model that records when it is called, and raises when its time is up."""

    def __init__(self, model: Model, seconds: float) -> None:
        self.model, self.limit = model, seconds
        self.config, self.device = model.config, model.device
        self.shapes: list[tuple[int, int]] = []
        self.times: list[float] = []

    def __call__(self, *, input_ids: torch.Tensor, **more: Any) -> Any:
        """The output of the model."""
        self.times.append(time.perf_counter())
        if self.times[-1] - self.times[0] > self.limit and len(self.steps) > 1:
            raise _TimeIsUp
        self.shapes.append((input_ids.shape[0], input_ids.shape[1]))
        return self.model(input_ids=input_ids, **more)

    def completions(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, stops: Sequence[int], token_budget: int
    ) -> list[Completion]:
        """The completions that end in time.

        Args:
            prompts: token ids.
            decoding: how completions are sampled.
            stops: tokens that end a completion.
            token_budget: most tokens in the cache.
        """
        ended = []
        names = [str(i) for i in range(len(prompts))]
        try:
            batch = PromptBatch(prompts, names, decoding, stops)
            for completion in completions(self, batch, token_budget=token_budget):
                ended.append(completion)
        except _TimeIsUp:
            return ended
        self.times.append(time.perf_counter())
        return ended

    @property
    def passes(self) -> list[tuple[int, int, float]]:
        """(rows, tokens per row, seconds until the next) of every finished forward pass."""
        ends = zip(self.shapes, self.times, self.times[1:], strict=False)
        return [(rows, width, end - start) for (rows, width), start, end in ends]

    @property
    def steps(self) -> list[tuple[int, float]]:
        """(rows, seconds) of every decoding step."""
        return [(rows, seconds) for rows, width, seconds in self.passes if width == 1]

    @property
    def prefill_seconds(self) -> float:
        """Seconds of all prefills."""
        return sum(seconds for _, width, seconds in self.passes if width > 1)


def _peak(model: Model) -> int:
    """Peak bytes so far: of the process on a CPU (since its start), else of the accelerator."""
    if model.device.type == "cuda":
        return torch.cuda.max_memory_allocated(model.device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
