"""Nll as a function of temperature, interpolated between the temperatures that were scored."""

import numpy as np
from jaxtyping import Float

from overmem.records import TEMPERATURES

GRID = np.log(np.array(TEMPERATURES))
BEYOND = "at the end of the range of temperatures: the best one may lie outside"


def lowest(
    curve: Float[np.ndarray, "rows temperatures"],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Temperature and value of the minimum of each curve over the grid, refined by a parabola in log T.

    A minimum at an end of the grid stays there; the true one may be beyond.
    """
    index = np.clip(curve.argmin(-1), 1, len(GRID) - 2)[..., None] + np.array([-1, 0, 1])  # [rows] -> [rows 3]
    x = GRID[index]
    y = np.take_along_axis(curve, index, -1)
    first = (y[..., 1] - y[..., 0]) / (x[..., 1] - x[..., 0])
    second = (y[..., 2] - y[..., 1]) / (x[..., 2] - x[..., 1])
    bend = (second - first) / (x[..., 2] - x[..., 0])
    safe = np.where(bend > 0, bend, 1.0)
    tip = np.clip((x[..., 0] + x[..., 1]) / 2 - first / (2 * safe), x[..., 0], x[..., 2])
    tip = np.where(bend > 0, tip, np.take_along_axis(x, y.argmin(-1)[..., None], -1)[..., 0])
    value = y[..., 0] + (tip - x[..., 0]) * (first + bend * (tip - x[..., 1]))
    return np.exp(tip), np.minimum(value, curve.min(-1))


def at_end(temperature: float) -> bool:
    """Whether a temperature is the first or the last of the grid."""
    return not GRID[0] + 1e-6 < np.log(temperature) < GRID[-1] - 1e-6


def weights_at(temperature: float) -> Float[np.ndarray, " temperatures"]:
    """Weights w such that curve @ w is the curve at `temperature`, by a parabola through the three nearest points."""
    x = float(np.log(temperature))
    nearest = int(np.clip(np.abs(GRID - x).argmin(), 1, len(GRID) - 2))
    points = [nearest - 1, nearest, nearest + 1]
    weights = np.zeros(len(GRID))
    for i in points:
        others = [j for j in points if j != i]
        weights[i] = np.prod([(x - GRID[j]) / (GRID[i] - GRID[j]) for j in others])
    return weights
