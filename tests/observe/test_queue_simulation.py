"""64 workers over 500 units, in simulated time: how busy they are, with the order that real workers follow."""

import heapq
import random

import pytest

from overmem.observe.queue import QueueState, preferred
from overmem.observe.work import UnitKey
from tests.slow_params import slow_except

WORKERS = 64
OVERHEAD = 0.02
"""Seconds to take a unit and give it back."""


def simulated(seconds, loading, estimate):
    """Seconds until the last of `WORKERS` workers ends, and how often one of them loaded a checkpoint.

    Args:
        seconds: unit -> how long it takes.
        loading: seconds to load a checkpoint's weights.
        estimate: how long a worker thinks that a unit takes.
    """
    free, held = list(seconds), {}
    ready = [(0.0, number) for number in range(WORKERS)]
    loaded, loads, last = {}, 0, 0.0
    while ready:
        now, worker = heapq.heappop(ready)
        held.pop(worker, None)
        last = max(last, now)
        if not free:
            continue
        key = preferred(QueueState(tuple(free), tuple(held.values())), loaded.get(worker), estimate)[0]
        free.remove(key)
        held[worker] = key
        load = 0.0 if loaded.get(worker) == key.checkpoint else loading
        loads += load > 0
        loaded[worker] = key.checkpoint
        heapq.heappush(ready, (now + OVERHEAD + load + seconds[key], worker))
    return last, loads


@pytest.mark.parametrize("seed", slow_except([0], range(5)))
@pytest.mark.parametrize(("checkpoints", "splits"), [(50, 10), (100, 5), (20, 25)])
def test_64_workers_are_busy_and_end_near_the_ideal_time(checkpoints, splits, seed):
    draw = random.Random(seed)
    lengths = [draw.uniform(60, 300) for _ in range(splits)]  # a split takes about as long at every checkpoint
    seconds = {
        UnitKey(f"checkpoint-{i}", f"split-{j}"): min(300.0, max(60.0, lengths[j] * draw.uniform(0.8, 1.25)))
        for i in range(checkpoints)
        for j in range(splits)
    }
    total = sum(seconds.values())
    took, loads = simulated(seconds, loading=10.0, estimate=lambda key: lengths[int(key.split[6:])])
    assert total / (WORKERS * took) >= 0.85
    assert took <= 1.25 * total / WORKERS
    assert loads <= checkpoints + 3 * WORKERS  # most units find their weights loaded
