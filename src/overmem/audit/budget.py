"""How many examples there is time for."""

from dataclasses import replace
from math import ceil

from overmem.audit.workload import Workload, workload_of
from overmem.errors import BadRequest
from overmem.observe.throughput import Throughput
from overmem.observe.work import spoken

FEWEST = 20
"""Examples of val and of test, at least: with fewer an accuracy is known to a fifth at best."""
_AIM = 0.9
"""Share of the time that is planned for: a machine that others use is not always as fast as it was just now."""


def fit_to_budget(load: Workload, pace: Throughput, budget: float) -> Workload:
    """The load with as many examples of every split as there is time for, and no more than were asked for.

    Args:
        load: with as many examples as were asked for.
        pace: of this machine; the time that measuring it took is gone.
        budget: the time there is, in seconds.

    Raises:
        BadRequest: not even the fewest examples fit.
    """
    aim = _AIM * (budget - pace.spent)
    request, most = load.request, _there(load)
    share, least = 1.0, min(1.0, FEWEST / most["rows"])
    while (needed := load.seconds(pace)) > aim:
        if share <= least:
            shortest = f"{ceil((needed / _AIM + pace.spent) / 60)}m"
            rows = min(most["rows"], load.request.options["rows"])
            raise BadRequest(
                f"--budget {load.request.config.budget} is too short: {rows} examples of val and of test, at "
                f"{len(load.checkpoints)} checkpoints, take about {spoken(needed)} on this machine, after "
                f"{spoken(pace.spent)} of measuring that; allowed: {shortest} or more, or ask for less "
                "(--checkpoints, --splits, --draws, --max-new-tokens)"
            )
        share = max(least, share * max(0.1, min(0.95, aim / needed)))
        fewer = {name: max(1, int(share * count)) for name, count in most.items()}
        load = workload_of(replace(request, options=dict(request.options) | fewer))
    return load


def _there(load: Workload) -> dict[str, int]:
    """`rows` and `side_rows` as asked for, or as there are examples."""
    asked, splits = load.request.options, load.splits.values()
    rows = max((len(s.examples) for s in splits if s.name in ("val", "test")), default=asked["rows"])
    beside = max((len(s.examples) for s in splits if s.name not in ("val", "test")), default=asked["side_rows"])
    return {"rows": min(rows, asked["rows"]), "side_rows": min(beside, asked["side_rows"])}
