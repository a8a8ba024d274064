"""What an audit has to do, and how long that takes on this machine."""

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
"""Seconds that scoring and completing are each tried for, so that what is said of the time can be relied on."""


@dataclass(frozen=True)
class Workload:
    """What a request comes to."""

    request: Request
    splits: Mapping[str, Split]
    work: Sequence[WorkUnit]
    """To be done."""
    standing: int
    """Units of work that are done already."""
    failures: dict[str, str]
    """Checkpoint -> why its weights cannot be read."""

    @property
    def checkpoints(self) -> list[str]:
        """Those that have something to be done, in order."""
        return list(dict.fromkeys(one.found.checkpoint.name for one in self.work))

    def seconds(self, throughput: Throughput) -> float:
        """All of it, and the weights of every checkpoint put in place."""
        loading = throughput.loading * len(self.checkpoints)
        return fsum(throughput.seconds(unit.split, unit.kinds) for unit in self.work) + loading

    def most_seconds(self, throughput: Throughput) -> float:
        """The same, were every completion as long as it may be."""
        loading = throughput.loading * len(self.checkpoints)
        return fsum(throughput.most_seconds(unit.split, unit.kinds) for unit in self.work) + loading


def workload_of(request: Request) -> Workload:
    """What is to be done for a request. Reads no weights but for their fingerprints."""
    splits = request.splits(request.options["rows"], request.options["side_rows"])
    return Workload(request, splits, *pending(request.run, request.found, splits, request.skeleton.base))


def throughput_of(workload: Workload) -> Throughput:
    """The throughput of this machine, measured on the last checkpoint that has pending units and can be loaded.

    Raises:
        BadRequest: none can be loaded.
    """
    request, reasons = workload.request, []
    there = {one.found.checkpoint.name: one.found for one in workload.work}
    for found in reversed(there.values()):
        start = time.perf_counter()
        try:
            model = request.skeleton.model(found)
        except BadCheckpoint as error:
            reasons.append(str(error))
            continue
        with packed(model):
            loading = time.perf_counter() - start
            throughput = measure_throughput(
                model,
                request.tokenizer,
                list({one.split.name: one.split for one in workload.work}.values()),
                request.decoding,
                token_budget=request.config.token_budget,
                seconds=_WARM_UP,
            )
        return replace(throughput, loading=loading, spent=throughput.spent + loading)
    raise BadRequest(f"no checkpoint can be loaded, so the time cannot be measured: {'; '.join(reasons)}")
