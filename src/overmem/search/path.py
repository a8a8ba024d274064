"""The lines between two checkpoints: what lies on them, and why a merge fails there."""

from collections.abc import Callable, Mapping

import numpy as np

from overmem.records import Curves
from overmem.records.searches import LinePoint, MergeLine, Updates
from overmem.search.board import Answers, Board, answers_in_order, ratio, share
from overmem.search.candidates import SHARES, Trajectory, Weights
from overmem.verdict.searched import above_ends, barrier

CANCEL = 0.5
"""Two updates cancel if their mean has less than this share of their mean size."""
UpdatesOf = Callable[[str, str], Updates | None]
"""(start, end) -> how their weight updates lie to each other."""


def pairs(run: Trajectory) -> list[tuple[str, str]]:
    """The ends of the lines: the best checkpoint and the last, and the base and the best."""
    lines = [run.ends, None if run.base is None else (run.base, run.best)]
    return [pair for pair in lines if pair is not None]


def line(
    pair: tuple[str, str],
    board: Board,
    answers: Mapping[str, Answers],
    sides: Mapping[str, Curves],
    updates_of: UpdatesOf,
) -> MergeLine | None:
    """The line between two checkpoints, as far as it was observed on val; None if an end was not audited.

    Args:
        pair: its ends.
        board: what was observed on val.
        answers: the answers on val of the candidates that have some.
        sides: the shifted and out-of-distribution splits, as they were audited; those that a candidate has not answered
            yet are answered now, at the points that have answers on val.
        updates_of: compares the weight updates of the ends.
    """
    val = board.val
    rows = {c.name: i for i, c in enumerate(val.checkpoints)}
    if not set(pair) <= set(rows):
        return None
    shares, sums, points = list[float](), list[np.ndarray](), list[LinePoint]()
    for part in (0.0, *SHARES, 1.0):
        if part in (0.0, 1.0):
            name = pair[int(part)]
            sums.append(val.nll_sums[rows[name]])
            points.append(_end(part, name, board, sides))
        elif (key := board.observer.key(between(pair, part))) in board.sums:
            sums.append(board.sums[key])
            points.append(_inner(part, pair, board, answers.get(key), sides))
        else:
            continue
        shares.append(part)
    stacked, tokens = np.stack(sums), val.token_counts.astype(np.float64)
    seen = np.isfinite(stacked).all(0)
    groups = val.groups_of(seen)
    return MergeLine(
        *pair,
        tuple(points),
        barrier(stacked[:, seen], np.array(shares), tokens[seen], groups),
        above_ends(stacked[:, seen], tokens[seen], groups),
        updates_of(*pair),
    )


def between(pair: tuple[str, str], part: float) -> Weights:
    """The weights of a point of a line."""
    return {pair[0]: 1 - part, pair[1]: part}


def _end(part: float, name: str, board: Board, sides: Mapping[str, Curves]) -> LinePoint:
    val = board.val
    row = [c.name for c in val.checkpoints].index(name)
    passed = answers_in_order(board.observer.answers_of(name, "val"), val).passed
    costs = {
        split: share(curves.correct[[c.name for c in curves.checkpoints].index(name)], curves)
        for split, curves in sides.items()
        if name in [c.name for c in curves.checkpoints]
    }
    nll = ratio(val.nll_sums[row], val.token_counts, val)
    return LinePoint(part, nll, share(val.correct[row], val), share(passed, val), costs)


def _inner(
    part: float, pair: tuple[str, str], board: Board, answers: Answers | None, sides: Mapping[str, Curves]
) -> LinePoint:
    val, weights = board.val, between(pair, part)
    nll = ratio(board.sums[board.observer.key(weights)], val.token_counts, val)
    if answers is None:
        return LinePoint(part, nll)
    costs = {
        split: share(answers_in_order(board.observer.answers(weights, split), curves).correct, curves)
        for split, curves in sides.items()
    }
    return LinePoint(part, nll, share(answers.correct, val), share(answers.passed, val), costs)


def reasons(line: MergeLine) -> list[str]:
    """What the line says about merging its ends; empty if nothing was observed between them."""
    where, height, above = f"between {line.start} and {line.end}", line.barrier, line.above_ends
    if height.value is None or height.low is None or height.high is None:
        return []
    size = f"{height.value:+.4f} nats per token ({height.low:+.4f} to {height.high:+.4f}, n = {height.n})"
    sentences = [
        f"there is a barrier {where}: {size} above the straight line"
        if height.low > 0
        else f"no barrier is shown {where}: {size} from the straight line"
    ]
    if above.value is not None and above.low is not None and above.low > 0:
        sentences.append(
            f"{line.start} and {line.end} lie in different basins: {above.value:.4f} nats per token "
            f"({above.low:.4f} to {above.high or above.low:.4f}) above the worse of the two on the way"
        )
    if line.updates is not None and line.updates.kept < CANCEL:
        sentences.append(
            f"the weight updates of {line.start} and {line.end} cancel: their mean has {100 * line.updates.kept:.0f}% "
            f"of their size (cosine {line.updates.cosine:+.2f})"
        )
    return sentences
