"""The units of work of an audit, and how long they take on this machine."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum

from overmem.audit.request import Request
from overmem.errors import BadCheckpoint, BadRequest
from overmem.observe.engines.packed import packed
from overmem.observe.plan import Split
from overmem.observe.throughput import Throughput
from overmem.observe.warmup import measure_throughput
from overmem.observe.work import WorkUnit, pending

_WARM_UP = 10.0
"""Seconds of warm-up for scoring and for generation each: enough for a reliable estimate."""


@dataclass(frozen=True)
class Workload:
    """The units of work of a request."""

    request: Request
    splits: Mapping[str, Split]
    work: Sequence[WorkUnit]
    """The units to do."""
    already_done: int
    """Number of units that are done and current."""
    failures: dict[str, str]
    """Checkpoint -> why its weights cannot be read."""

    @property
    def checkpoints(self) -> list[str]:
        """Names of the checkpoints that have units to do, in order."""
        return list(dict.fromkeys(unit.checkpoint for unit in self.work))

    def seconds(self, throughput: Throughput) -> float:
        """Seconds that all units take, including the loading of every checkpoint."""
        loading = throughput.loading * len(self.checkpoints)
        return fsum(throughput.seconds(unit.split, unit.kinds) for unit in self.work) + loading

    def most_seconds(self, throughput: Throughput) -> float:
        """The same if every completion reaches its length limit."""
        loading = throughput.loading * len(self.checkpoints)
        return fsum(throughput.most_seconds(unit.split, unit.kinds) for unit in self.work) + loading


def workload_of(request: Request) -> Workload:
    """The workload of a request. No weights are loaded, only fingerprinted."""
    splits = request.splits(request.options["rows"], request.options["side_rows"])
    return Workload(request, splits, *pending(request.run, request.refs, splits, request.skeleton.base))


def throughput_of(workload: Workload) -> Throughput:
    """The throughput of this machine, measured on the last checkpoint that has pending units and can be loaded.

    Raises:
        BadRequest: none can be loaded.
    """
    request, reasons = workload.request, []
    refs = {unit.checkpoint: unit.ref for unit in workload.work}
    for ref in reversed(refs.values()):
        start = time.perf_counter()
        try:
            model = request.skeleton.model(ref)
        except BadCheckpoint as error:
            reasons.append(str(error))
            continue
        with packed(model):
            loading = time.perf_counter() - start
            throughput = measure_throughput(
                model,
                request.tokenizer,
                list({unit.split.name: unit.split for unit in workload.work}.values()),
                request.decoding,
                token_budget=request.config.token_budget,
                seconds=_WARM_UP,
            )
        return replace(throughput, loading=loading, spent=throughput.spent + loading)
    raise BadRequest(f"no checkpoint can be loaded, so the time cannot be measured: {'; '.join(reasons)}")
