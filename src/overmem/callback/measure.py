"""One measurement of a model in training: within bounds of memory and time, and leaving no trace in the training."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch

from overmem import statistics
from overmem.callback.bound import rows_that_fit
from overmem.callback.watch import CallbackConfig, EvaluationSet
from overmem.encoding import Encoded
from overmem.grading import graded
from overmem.observe.completions import clamp_to_context, complete
from overmem.observe.engines.decoding import EngineSettings, Hooks
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.records import Estimate, Samples, Scores

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Measured:
    """What one measurement found, each on the first examples of its split for which there was time."""

    scores: Mapping[str, Scores]
    samples: Mapping[str, Samples]
    token_budget: int
    """What was left of it: halved as often as a batch did not fit the device."""
    seconds: float
    notes: tuple[str, ...]
    """What is not whole, and why."""


class _OutOfTimeError(Exception):
    """The time of a measurement is over."""


def measured(
    model: Any,
    watch: CallbackConfig,
    plan: EvaluationSet,
    *,
    token_budget: int,
    clock: Callable[[], float] = time.monotonic,
) -> Measured:
    """Scores of every split, then answers to the val questions, until `watch.seconds` are over.

    Args:
        model: in evaluation mode, not sharded.
        watch: bounds, and whether answers are wanted.
        plan: what to score and to ask.
        token_budget: padded tokens in a batch.
        clock: seconds from some point on.
    """
    begun = clock()
    notes: list[str] = []

    def tick() -> None:
        if clock() - begun > watch.seconds:
            raise _OutOfTimeError

    def score(some: Sequence[Encoded]) -> Scores:
        tick()
        return scores(model, some, token_budget=2**62)

    scored: dict[str, Scores] = {}
    for split in plan.splits.values():
        lengths = [len(e.input_ids) for e in split.encoded]
        parts, token_budget = _by_batches(score, split, lengths, token_budget, f"{split.name} nll", notes)
        if parts:
            scored[split.name] = replace(joined_scores(parts), truncated=split.truncated)
    answered: dict[str, Samples] = {}
    if watch.answers:
        val = plan.splits["val"]
        decoding = clamp_to_context(model, val, plan.decoding)
        lengths = [len(e.prompt_ids) + decoding.max_new_tokens for e in val.encoded]
        engine = HuggingFace(EngineSettings(token_budget=2**62), model)

        def answer(some: Sequence[Encoded]) -> Samples:
            part = replace(val, encoded=tuple(some))
            completions = complete(engine, model, plan.tokenizer, part, decoding, Hooks(tick=tick))
            return graded(completions, val.examples)

        answers, token_budget = _by_batches(answer, val, lengths, token_budget, "val answers", notes)
        if answers:
            answered["val"] = joined_samples(answers)
    return Measured(scored, answered, token_budget, clock() - begun, tuple(notes))


def _by_batches(
    work: Callable[[Sequence[Encoded]], _Part],
    split: Split,
    lengths: Sequence[int],
    token_budget: int,
    what: str,
    notes: list[str],
) -> tuple[list[_Part], int]:
    """What `work` makes of the split, batch after batch, and the token budget that did.

    The batches follow the split's own (random) order, and not its lengths as an audit's do: what is done when the time
    is over is then a random part of the whole, and the same part at every checkpoint.
    """
    parts: list[_Part] = []
    at, longest = 0, max(lengths, default=0)
    while at < len(split.encoded):
        size = rows_that_fit(token_budget, longest)
        try:
            part = _attempt(work, split.encoded[at : at + size])
        except _OutOfTimeError:
            notes.append(f"{what}: {at} of {len(split.encoded)} examples, then the time was over")
            break
        if part is not None:
            parts.append(part)
            at += size
            continue
        _empty_cache(torch.accelerator.current_accelerator())
        if size == 1:
            notes.append(f"{what}: {at} of {len(split.encoded)} examples, then a single one did not fit the device")
            break
        token_budget = size // 2 * longest
        notes.append(f"{what}: {size} rows did not fit the device; {size // 2} from now on")
    return parts, token_budget


def _attempt(work: Callable[[Sequence[Encoded]], _Part], some: Sequence[Encoded]) -> _Part | None:
    """What `work` makes of these examples; None where they do not fit the device.

    A function of its own, so that the error, which holds on to the tensors, is gone when memory is given back.
    """
    try:
        return work(some)
    except torch.OutOfMemoryError:
        return None


def joined_scores(parts: Sequence[Scores]) -> Scores:
    """Scores of consecutive batches as those of one."""
    arrays: dict[str, Any] = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Scores)[2:-1]}
    counts = np.concatenate([p.token_counts for p in parts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Scores(tuple(i for p in parts for i in p.example_ids), offsets, **arrays)


def joined_samples(parts: Sequence[Samples]) -> Samples:
    """Completions of consecutive batches as those of one."""
    columns: dict[str, Any] = {}
    for name in (f.name for f in fields(Samples)):
        values = [getattr(p, name) for p in parts]
        is_array = isinstance(values[0], np.ndarray)
        columns[name] = np.concatenate(values) if is_array else tuple(x for value in values for x in value)
    return Samples(**columns)


def log_metrics(scored: Mapping[str, Scores], answered: Mapping[str, Samples]) -> dict[str, float]:
    """The numbers to log, by metric name: nll with its interval and n, token accuracy, entropy, answer accuracy."""
    found: dict[str, float] = {}
    for split, s in scored.items():
        nll = statistics.ratio(s.nll_sums, s.token_counts.astype(np.float64))
        found |= _named(f"eval_overmem_{split}_nll", nll)
        found[f"eval_overmem_{split}_token_accuracy"] = float(s.is_argmax.mean())
        found[f"eval_overmem_{split}_entropy"] = float(s.entropy.astype(np.float64).mean())
    for split, a in answered.items():
        found |= _named(f"eval_overmem_{split}_accuracy", statistics.share(int(a.correct.sum()), len(a.correct)))
    return found


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    known = {"": estimate.value, "_low": estimate.low, "_high": estimate.high, "_n": estimate.n}
    return {f"{name}{end}": float(value) for end, value in known.items() if value is not None}


@contextmanager
def preserve_model_state(model: Any) -> Iterator[None]:
    """Evaluation mode inside; each module's own mode and every random state as before, after."""
    modes = {module: module.training for module in model.modules()}
    devices = {p.device for p in model.parameters()} - {torch.device("cpu"), torch.device("meta")}
    try:
        with preserve_rng(devices):
            model.train(False)
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for device in devices:
            _empty_cache(device)


@contextmanager
def preserve_rng(devices: Collection[torch.device] = ()) -> Iterator[None]:
    """The random states of Python, NumPy, torch's CPU and these devices are the same after as before."""
    python, numpy = random.getstate(), np.random.get_state()
    kind = next((device.type for device in devices), "cuda")
    try:
        with torch.random.fork_rng([device.index or 0 for device in devices], device_type=kind):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _empty_cache(device: torch.device | None) -> None:
    """Give back what the allocator holds: the training that goes on needs blocks of other sizes."""
    if device is not None and device.type != "cpu":
        torch.get_device_module(device).empty_cache()
