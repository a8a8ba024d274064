"""One measurement of a model in training, within limits of memory and time, without any effect on the training."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch

from overmem import statistics
from overmem.callback.config import CallbackConfig
from overmem.callback.evaluation_set import EvaluationSet
from overmem.callback.memory import rows_that_fit
from overmem.encoding import Encoded
from overmem.grading import with_grades
from overmem.observe.completions import clamp_to_context, complete
from overmem.observe.engines.decoding import EngineSettings, Hooks
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.records import Estimate, Samples, Scores

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class MeasureResult:
    """The result of one measurement, of as many examples of each split as there was time for."""

    scores: Mapping[str, Scores]
    samples: Mapping[str, Samples]
    token_budget: int
    """The token budget to use from now on: halved every time a batch did not fit the device."""
    seconds: float
    notes: tuple[str, ...]
    """What is incomplete, and why."""


class _OutOfTimeError(Exception):
    """The time limit of a measurement is reached."""


def measure_model(
    model: Any,
    config: CallbackConfig,
    evaluation: EvaluationSet,
    *,
    token_budget: int,
    clock: Callable[[], float] = time.monotonic,
) -> MeasureResult:
    """Scores of every split, then completions of the val questions, until `config.seconds` are over.

    Args:
        model: a model in evaluation mode, not sharded.
        config: the limits, and whether completions are wanted.
        evaluation: the examples.
        token_budget: padded tokens per batch.
        clock: returns monotonic seconds.
    """
    start = clock()
    notes: list[str] = []

    def tick() -> None:
        if clock() - start > config.seconds:
            raise _OutOfTimeError

    def score_batch(batch: Sequence[Encoded]) -> Scores:
        tick()
        return scores(model, batch, token_budget=2**62)

    scores_by_split: dict[str, Scores] = {}
    for split in evaluation.splits.values():
        lengths = [len(e.input_ids) for e in split.encoded]
        parts, token_budget = _run_in_batches(score_batch, split, lengths, token_budget, f"{split.name} nll", notes)
        if parts:
            scores_by_split[split.name] = replace(concatenate_scores(parts), truncated=split.truncated)
    samples: dict[str, Samples] = {}
    if config.answers:
        val = evaluation.splits["val"]
        decoding = clamp_to_context(model, val, evaluation.decoding)
        lengths = [len(e.prompt_ids) + decoding.max_new_tokens for e in val.encoded]
        engine = HuggingFace(EngineSettings(token_budget=2**62), model)

        def complete_batch(batch: Sequence[Encoded]) -> Samples:
            part = replace(val, encoded=tuple(batch))
            completions = complete(engine, model, evaluation.tokenizer, part, decoding, Hooks(tick=tick))
            return with_grades(completions, val.examples)

        parts_of_samples, token_budget = _run_in_batches(
            complete_batch, val, lengths, token_budget, "val answers", notes
        )
        if parts_of_samples:
            samples["val"] = concatenate_samples(parts_of_samples)
    return MeasureResult(scores_by_split, samples, token_budget, clock() - start, tuple(notes))


def _run_in_batches(
    work: Callable[[Sequence[Encoded]], _Part],
    split: Split,
    lengths: Sequence[int],
    token_budget: int,
    description: str,
    notes: list[str],
) -> tuple[list[_Part], int]:
    """The results of `work` on the split, batch by batch, and the token budget that fitted.

    Batches follow the split's own random order; an audit sorts by length instead. When the time is over, the finished
    part is therefore a random sample of the split, and the same one at every checkpoint.

    Args:
        work: computes the result of one batch.
        split: all examples.
        lengths: padded tokens that each example needs.
        token_budget: padded tokens in one batch.
        description: what is computed, for the notes.
        notes: a note is appended for everything that stays incomplete.
    """
    parts: list[_Part] = []
    done, longest = 0, max(lengths, default=0)
    while done < len(split.encoded):
        size = rows_that_fit(token_budget, longest)
        try:
            part = _attempt(work, split.encoded[done : done + size])
        except _OutOfTimeError:
            notes.append(f"{description}: {done} of {len(split.encoded)} examples, then the time limit was reached")
            break
        if part is not None:
            parts.append(part)
            done += size
            continue
        _empty_cache(torch.accelerator.current_accelerator())
        if size == 1:
            notes.append(
                f"{description}: {done} of {len(split.encoded)} examples, then a single one did not fit the device"
            )
            break
        token_budget = size // 2 * longest
        notes.append(f"{description}: {size} rows did not fit the device; {size // 2} from now on")
    return parts, token_budget


def _attempt(work: Callable[[Sequence[Encoded]], _Part], batch: Sequence[Encoded]) -> _Part | None:
    """The result of `work` on a batch; None if it does not fit the device.

    A function of its own, because the error's traceback keeps the tensors alive until the function returns.
    """
    try:
        return work(batch)
    except torch.OutOfMemoryError:
        return None


def concatenate_scores(parts: Sequence[Scores]) -> Scores:
    """Concatenate the scores of consecutive batches."""
    arrays: dict[str, Any] = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Scores)[2:-1]}
    counts = np.concatenate([p.token_counts for p in parts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Scores(tuple(i for p in parts for i in p.example_ids), offsets, **arrays)


def concatenate_samples(parts: Sequence[Samples]) -> Samples:
    """Concatenate the completions of consecutive batches."""
    columns: dict[str, Any] = {}
    for name in (f.name for f in fields(Samples)):
        values = [getattr(p, name) for p in parts]
        is_array = isinstance(values[0], np.ndarray)
        columns[name] = np.concatenate(values) if is_array else tuple(x for value in values for x in value)
    return Samples(**columns)


def log_metrics(scores_by_split: Mapping[str, Scores], samples: Mapping[str, Samples]) -> dict[str, float]:
    """The metrics to log: nll with its interval and n, token accuracy, entropy, answer accuracy."""
    metrics: dict[str, float] = {}
    for split, s in scores_by_split.items():
        nll = statistics.ratio(s.nll_sums, s.token_counts.astype(np.float64))
        metrics |= _estimate_metrics(f"eval_overmem_{split}_nll", nll)
        metrics[f"eval_overmem_{split}_token_accuracy"] = float(s.is_argmax.mean())
        metrics[f"eval_overmem_{split}_entropy"] = float(s.entropy.astype(np.float64).mean())
    for split, a in samples.items():
        metrics |= _estimate_metrics(
            f"eval_overmem_{split}_accuracy", statistics.share(int(a.correct.sum()), len(a.correct))
        )
    return metrics


def _estimate_metrics(name: str, estimate: Estimate) -> dict[str, float]:
    parts = {"": estimate.value, "_low": estimate.low, "_high": estimate.high, "_n": estimate.n}
    return {f"{name}{suffix}": float(value) for suffix, value in parts.items() if value is not None}


@contextmanager
def preserve_model_state(model: Any) -> Iterator[None]:
    """Put the model in evaluation mode; afterwards restore each module's mode and every random state."""
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
    """Restore the random states of Python, NumPy, torch's CPU and these devices afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    kind = next((device.type for device in devices), "cuda")
    try:
        with torch.random.fork_rng([device.index or 0 for device in devices], device_type=kind):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _empty_cache(device: torch.device | None) -> None:
    """Free the allocator's cached blocks, because the training continues with tensors of other sizes."""
    if device is not None and device.type != "cpu":
        torch.get_device_module(device).empty_cache()
