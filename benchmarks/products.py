"""How fast a CPU multiplies a few rows by the weights of a 135M model: as they are stored, and packed by oneDNN.

    python benchmarks/products.py [--threads 2]

The layers of twelve blocks in turn, so that no weight is still in the processor's caches; the best of some repeats.
"""

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from overmem.observe.engines.packed import packed

SHAPES = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
BLOCKS, REPEATS = 12, 8
ROWS = (1, 6, 16, 32, 64, 128, 256, 512)


def rate(layers: nn.ModuleList, rows: int) -> float:
    """GFLOP/s of all products, at best."""
    inputs = {width: torch.randn(rows, width) for width in (576, 1536)}
    calls: list[Callable[[], Tensor]] = [lambda layer=layer: layer(inputs[layer.in_features]) for layer in layers]
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for call in calls:
            call()
        best = min(best, time.perf_counter() - start)
    return sum(2 * rows * layer.weight.numel() for layer in layers) / best / 1e9


@torch.inference_mode()
def main() -> None:
    """One line for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    layers = nn.ModuleList([nn.Linear(i, o, bias=False) for _ in range(BLOCKS) for o, i in SHAPES])
    sys.stdout.write("rows  not packed   packed  (GFLOP/s)\n")
    for rows in ROWS:
        plain = rate(layers, rows)
        with packed(layers):
            fast = rate(layers, rows)
        sys.stdout.write(f"{rows:4}  {plain:11.0f}  {fast:6.0f}\n")


if __name__ == "__main__":
    main()
