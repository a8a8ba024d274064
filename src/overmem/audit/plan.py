"""What an audit measures: every unit that is not current, on as many examples as there is time for."""

from dataclasses import replace
from math import ceil

from overmem.audit.request import Request
from overmem.audit.workload import Workload, throughput_of, workload_of
from overmem.errors import BadRequest
from overmem.observe.engines import ENGINES, engine_of
from overmem.observe.throughput import Throughput, format_duration

FEWEST = 20
"""Examples of val and of test, at least: with fewer an accuracy is known to a fifth at best."""
_AIM = 0.9
"""Share of the time that is planned for: a machine that others use is not always as fast as it was just now."""


def workload_within_budget(request: Request) -> tuple[Workload, Throughput | None]:
    """The workload of a request, and the throughput of this machine where --budget made measuring it necessary.

    Raises:
        BadRequest: not even the fewest examples fit, or the engine's time cannot be measured.
    """
    workload = workload_of(request)
    if request.budget is None or not workload.work:
        return workload, None
    check_throughput_is_measurable(request, "--budget")
    throughput = throughput_of(workload)
    return fit_to_budget(workload, throughput, request.budget), throughput


def check_throughput_is_measurable(request: Request, option: str) -> None:
    """Refuse an option that needs the time of an engine whose time cannot be measured.

    Raises:
        BadRequest: the engine is such a one.
    """
    if not engine_of(request.config.engine).has_throughput:
        measured = [name for name, engine in ENGINES.items() if engine.has_throughput]
        raise BadRequest(
            f"{option} measures the time of --engine {', '.join(measured)}, not of {request.config.engine}; "
            "leave out one of them"
        )


def fit_to_budget(workload: Workload, throughput: Throughput, budget: float) -> Workload:
    """The workload with as many examples of every split as there is time for, and no more than the options allow.

    Args:
        workload: with as many examples as the options allow.
        throughput: of this machine; the time that measuring it took counts.
        budget: seconds that observing may take.

    Raises:
        BadRequest: not even the fewest examples fit.
    """
    aim = _AIM * (budget - throughput.spent)
    request, most = workload.request, _available(workload)
    share, least = 1.0, min(1.0, FEWEST / most["rows"])
    while (needed := workload.seconds(throughput)) > aim:
        if share <= least:
            shortest = f"{ceil((needed / _AIM + throughput.spent) / 60)}m"
            rows = min(most["rows"], workload.request.options["rows"])
            raise BadRequest(
                f"--budget {workload.request.config.budget} is too short: {rows} examples of val and of test, at "
                f"{len(workload.checkpoints)} checkpoints, take about {format_duration(needed)} on this machine, after "
                f"{format_duration(throughput.spent)} of measuring that; allowed: {shortest} or more, or ask for less "
                "(--checkpoints, --splits, --draws, --max-new-tokens)"
            )
        share = max(least, share * max(0.1, min(0.95, aim / needed)))
        fewer = {name: max(1, int(share * count)) for name, count in most.items()}
        workload = workload_of(replace(request, options=dict(request.options) | fewer))
    return workload


def _available(workload: Workload) -> dict[str, int]:
    """`rows` and `side_rows` of the options, but no more than there are examples."""
    options, splits = workload.request.options, workload.splits.values()
    rows = max((len(s.examples) for s in splits if s.name in ("val", "test")), default=options["rows"])
    side_rows = max((len(s.examples) for s in splits if s.name not in ("val", "test")), default=options["side_rows"])
    return {"rows": min(rows, options["rows"]), "side_rows": min(side_rows, options["side_rows"])}
