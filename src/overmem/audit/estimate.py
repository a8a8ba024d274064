"""The verb `audit --dry-run`: how long an audit would take and how precise its numbers would be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum, sqrt

from overmem import store
from overmem.audit.options import Audit
from overmem.audit.plan import check_throughput_is_measurable, fit_to_budget
from overmem.audit.request import Request, requested
from overmem.audit.workload import Workload, throughput_of, workload_of
from overmem.encoding import end_ids
from overmem.observe.plan import Split
from overmem.observe.throughput import Throughput
from overmem.statistics import quantile, wilson


@dataclass(frozen=True)
class SplitEstimate:
    """The work on one split over all checkpoints, and the precision of its numbers at each of them."""

    split: str
    examples: int
    scored_tokens: int
    """Number of tokens of prompts and reference solutions, to score the solutions."""
    generated_tokens: int
    """Expected number of tokens of the completions."""
    seconds: float
    accuracy: float | None
    """The accuracy for which the half width is computed: the measured one that is closest to 0.5, or 0.5. None if the
    split has no completions or no example that fits the context."""
    accuracy_half_width: float | None
    """Half the width of its 95% interval; None if `accuracy` is None."""
    nll_half_width: float | None
    """Half the width of the 95% interval of the nll per token, in nats, from the spread measured in the warm-up; None
    if there was nothing to do."""


@dataclass(frozen=True)
class ShownExample:
    """One example as the model reads it, to check before anything is observed."""

    prompt: str
    solution: str
    """Includes its end-of-sequence token."""
    ends: tuple[str, ...]
    """Tokens that end a completion, in addition to those of the model's generation config."""


@dataclass(frozen=True)
class AuditEstimate:
    """The work and time of an audit. Nothing was written."""

    units: int
    """Number of units of work to do, (checkpoint, split, kind)."""
    already_done: int
    """Number of units that are already done and are skipped."""
    checkpoints: tuple[str, ...]
    """The checkpoints that have units to do."""
    failures: Mapping[str, str]
    """Checkpoint -> why its weights cannot be read."""
    rows: int
    side_rows: int
    scored_tokens: int
    generated_tokens: int
    seconds: float
    """Seconds that observing takes on this machine. Probes and report take extra time."""
    most_seconds: float
    """The same if every completion reaches its length limit."""
    memory_bytes: int
    """Peak bytes, including the weights: of the process on a CPU, else of the accelerator. 0 if unknown."""
    device: str
    dtype: str
    warm_up_seconds: float
    splits: tuple[SplitEstimate, ...]
    shown: ShownExample | None
    """The first example; None if none fits the context."""


def estimate_audit(config: Audit, *, say: Callable[[str], None] = lambda line: None) -> AuditEstimate:
    """The work and time of this audit, from a short warm-up on one checkpoint. Writes nothing.

    Raises:
        BadRequest: as `audit`, or no checkpoint can be loaded.
    """
    request = requested(config, say)
    check_throughput_is_measurable(request, "--dry-run")
    workload = workload_of(request)
    if not workload.work:
        return _estimate(workload, Throughput(request.decoding, config.token_budget))
    throughput = throughput_of(workload)
    if request.budget is not None:
        workload = fit_to_budget(workload, throughput, request.budget)
    return _estimate(workload, throughput)


def budget_sentence(workload: Workload, throughput: Throughput) -> str:
    """How many examples a budget has time for, and the resulting precision."""
    options, precision = workload.request.options, precision_sentence(_estimate(workload, throughput))
    return (
        f"{workload.request.config.budget} is enough for {options['rows']} examples each of val and test and "
        f"{options['side_rows']} of every other split, at {len(workload.checkpoints)} checkpoints: {precision}"
    )


def precision_sentence(estimate: AuditEstimate) -> str:
    """The precision of val and test in words; of all splits if neither is observed."""
    splits = [s for s in estimate.splits if s.split in ("val", "test")] or list(estimate.splits)
    return "; ".join(_width(s) for s in splits)


def _width(split: SplitEstimate) -> str:
    parts = []
    if split.accuracy_half_width is not None:
        parts.append(f"accuracy ± {split.accuracy_half_width:.3f} at {split.accuracy:.2f}")
    if split.nll_half_width is not None:
        parts.append(f"nll ± {split.nll_half_width:.3f}")
    return f"{split.split} {', '.join(parts)}"


def _estimate(workload: Workload, throughput: Throughput) -> AuditEstimate:
    request = workload.request
    measured = _accuracies(request)
    splits = tuple(_split_estimate(workload, throughput, split, measured) for split in workload.splits.values())
    return AuditEstimate(
        sum(len(unit.kinds) for unit in workload.work),
        workload.already_done,
        tuple(workload.checkpoints),
        workload.failures,
        request.options["rows"],
        request.options["side_rows"],
        sum(s.scored_tokens for s in splits),
        sum(s.generated_tokens for s in splits),
        workload.seconds(throughput),
        workload.most_seconds(throughput),
        throughput.memory,
        request.skeleton.device,
        str(request.skeleton.dtype).removeprefix("torch."),
        throughput.spent,
        splits,
        _shown(workload),
    )


def _shown(workload: Workload) -> ShownExample | None:
    tokenizer = workload.request.tokenizer
    for encoded in (e for split in workload.splits.values() for e in split.encoded):
        ends = tuple(tokenizer.decode([token]) for token in sorted(end_ids(tokenizer)))
        return ShownExample(tokenizer.decode(encoded.prompt_ids), tokenizer.decode(encoded.solution_ids), ends)
    return None


def _split_estimate(
    workload: Workload, throughput: Throughput, split: Split, accuracies: Mapping[str, float]
) -> SplitEstimate:
    work = [unit for unit in workload.work if unit.split.name == split.name]
    n = len(split.encoded)
    scored = sum("scores" in unit.kinds for unit in work) * sum(len(e.input_ids) for e in split.encoded)
    generated = sum("samples" in unit.kinds for unit in work) * throughput.generated(split)
    seconds = fsum(throughput.seconds(unit.split, unit.kinds) for unit in work)
    p = accuracies.get(split.name, 0.5) if "samples" in split.kinds and n else None
    accuracy_half_width = None if p is None else (wilson(p * n, n)[1] - wilson(p * n, n)[0]) / 2
    nll_half_width = quantile(0.975, n) * throughput.nll_spread / sqrt(n) if n and throughput.nll_spread else None
    return SplitEstimate(split.name, n, scored, generated, seconds, p, accuracy_half_width, nll_half_width)


def _accuracies(request: Request) -> dict[str, float]:
    """Split -> the measured accuracy that is closest to 0.5, where the interval is widest."""
    if not request.run.measurements_path.is_file():
        return {}
    closest: dict[str, float] = {}
    for row in store.read_measurements(request.run):
        if row.metric == "accuracy" and row.value is not None:
            closest[row.split] = min(closest.get(row.split, row.value), row.value, key=lambda value: abs(value - 0.5))
    return closest
