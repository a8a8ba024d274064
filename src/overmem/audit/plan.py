"""What an audit measures: every unit that is not current, with as many examples as fit the budget."""

from dataclasses import replace
from math import ceil

from overmem.audit.request import Request
from overmem.audit.workload import Workload, throughput_of, workload_of
from overmem.errors import BadRequest
from overmem.observe.engines import ENGINES, engine_of
from overmem.observe.throughput import Throughput, format_duration

MIN_ROWS = 20
"""Examples of val and of test at least: with fewer, the half width of an accuracy's interval exceeds 0.2."""
_SAFETY = 0.9
"""Share of the budget that is planned for, because a shared machine may become slower than it was in the warm-up."""


def workload_within_budget(request: Request) -> tuple[Workload, Throughput | None]:
    """The workload of a request, and the throughput of this machine if it was measured for --budget.

    Raises:
        BadRequest: not even MIN_ROWS examples fit, or the engine's throughput cannot be measured.
    """
    workload = workload_of(request)
    if request.budget is None or not workload.work:
        return workload, None
    check_throughput_is_measurable(request, "--budget")
    throughput = throughput_of(workload)
    return fit_to_budget(workload, throughput, request.budget), throughput


def check_throughput_is_measurable(request: Request, option: str) -> None:
    """Refuse an option that needs the throughput of an engine which cannot be measured.

    Raises:
        BadRequest: it cannot.
    """
    if not engine_of(request.config.engine).has_throughput:
        measured = [name for name, engine in ENGINES.items() if engine.has_throughput]
        raise BadRequest(
            f"{option} measures the time of --engine {', '.join(measured)}, not of {request.config.engine}; "
            "leave out one of them"
        )


def fit_to_budget(workload: Workload, throughput: Throughput, budget: float) -> Workload:
    """The workload with as many examples of every split as fit the budget, at most as many as the options allow.

    Args:
        workload: the workload with as many examples as the options allow.
        throughput: the throughput of this machine; the time for measuring it counts.
        budget: seconds that observing may take.

    Raises:
        BadRequest: not even MIN_ROWS examples fit.
    """
    available_seconds = _SAFETY * (budget - throughput.spent)
    request, available = workload.request, _available(workload)
    share, min_share = 1.0, min(1.0, MIN_ROWS / available["rows"])
    while (needed := workload.seconds(throughput)) > available_seconds:
        if share <= min_share:
            shortest = f"{ceil((needed / _SAFETY + throughput.spent) / 60)}m"
            rows = min(available["rows"], workload.request.options["rows"])
            raise BadRequest(
                f"--budget {workload.request.config.budget} is too short: {rows} examples of val and of test, at "
                f"{len(workload.checkpoints)} checkpoints, take about {format_duration(needed)} on this machine, after "
                f"a warm-up of {format_duration(throughput.spent)}; allowed: {shortest} or more, or less work "
                "(--checkpoints, --splits, --draws, --max-new-tokens)"
            )
        share = max(min_share, share * max(0.1, min(0.95, available_seconds / needed)))
        fewer = {name: max(1, int(share * count)) for name, count in available.items()}
        workload = workload_of(replace(request, options=dict(request.options) | fewer))
    return workload


def _available(workload: Workload) -> dict[str, int]:
    """`rows` and `side_rows` of the options, limited to the number of examples."""
    options, splits = workload.request.options, workload.splits.values()
    rows = max((len(s.examples) for s in splits if s.name in ("val", "test")), default=options["rows"])
    side_rows = max((len(s.examples) for s in splits if s.name not in ("val", "test")), default=options["side_rows"])
    return {"rows": min(rows, options["rows"]), "side_rows": min(side_rows, options["side_rows"])}
