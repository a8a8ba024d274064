"""Compare two runs at matched accuracy: checkpoints that solve equally much, with different perplexity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from overmem import stats, store
from overmem.errors import BadRequest
from overmem.records import Checkpoint, Cost, Estimate, Measurement, Snapshot
from overmem.regime.costs import costs
from overmem.regime.words import percent, points, rounded


@dataclass(frozen=True)
class Compare:
    """Which two runs to compare, and when two accuracies count as equal."""

    run_a: str
    """Audited run directory."""
    run_b: str
    """Another audited run directory, on the same examples and with the same tokenizer."""
    split: str = "test"
    """Where accuracy and perplexity are compared."""
    margin: float = 0.03
    """Two accuracies are equal when their difference is shown to be smaller than this, as a fraction."""
    d_nll: float = 0.05
    """Two perplexities differ when their nll is shown to differ by more than this, in nats per token."""
    alpha: float = 0.05
    """Error rate, Holm-corrected over all pairs of checkpoints."""
    pairs: int = 3
    """Pairs to show, the largest difference of perplexity first."""
    out_a: str | None = None
    """Where overmem's files of RUN_A are; by default RUN_A/overmem."""
    out_b: str | None = None
    """Where overmem's files of RUN_B are; by default RUN_B/overmem."""


@dataclass(frozen=True)
class Pair:
    """A checkpoint of each run, of equal accuracy, and what else differs. `low` has the lower perplexity."""

    low: str
    """RUN/checkpoint."""
    high: str
    accuracy_low: Estimate
    accuracy_high: Estimate
    accuracy_difference: Estimate
    """Of low minus high, paired."""
    p_equivalent: float
    """Holm-adjusted p that the accuracies differ by the margin or more (two one-sided tests)."""
    nll_difference: Estimate
    """Of high minus low, in nats per token, paired."""
    behaviours: tuple[Cost, ...]
    """What the checkpoint of higher perplexity does worse (positive) or better; Holm-corrected within the pair."""


@dataclass(frozen=True)
class Comparison:
    """Every matched pair that was found, or why there is none."""

    pairs: tuple[Pair, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class _Side:
    checkpoints: tuple[Checkpoint, ...]
    nll: Float[np.ndarray, "checkpoints examples"]
    correct: Float[np.ndarray, "checkpoints examples"]


def compare(config: Compare) -> Comparison:
    """Pairs of checkpoints across two runs whose accuracies are shown to be equal and whose perplexities differ.

    The control for `epoch 3 against epoch 10 of one run`: what differs within a matched pair is not explained by
    accuracy. Equivalence is shown by two one-sided paired tests, never assumed from a test that found nothing.

    Raises:
        BadRequest: a run was not audited, shares no example of the split, or tokenizes its solutions differently.
    """
    runs = store.open_run(config.run_a, config.out_a), store.open_run(config.run_b, config.out_b)
    names = _names(runs)
    a, b, tokens = _sides(runs, config.split)
    found: list[tuple[int, int, float, Estimate]] = []
    for i in range(len(a.checkpoints)):
        for j in range(len(b.checkpoints)):
            p, _ = _equivalence(a.correct[i], b.correct[j], config.margin)
            found.append((i, j, p, stats.ratio(b.nll[j] - a.nll[i], tokens)))
    adjusted = stats.holm([p for _, _, p, _ in found])
    matched = []
    for (i, j, _, nll), q in zip(found, adjusted, strict=True):
        if q is None or q >= config.alpha or nll.low is None or nll.high is None or nll.value is None:
            continue
        if nll.low > config.d_nll or nll.high < -config.d_nll:
            matched.append((abs(nll.value), i, j, q, nll))
    matched.sort(key=lambda m: -m[0])
    pairs = tuple(_pair(runs, names, a, b, i, j, p, nll, config.alpha) for _, i, j, p, nll in matched[: config.pairs])
    said = tuple(_sentence(pair) for pair in pairs) or (_none(a, b, names, tokens, config),)
    return Comparison(pairs, said)


def _names(runs: tuple[store.Run, store.Run]) -> tuple[str, str]:
    a, b = (run.root.resolve() for run in runs)
    return (a.name, b.name) if a.name != b.name else (f"{a.parent.name}/{a.name}", f"{b.parent.name}/{b.name}")


def _sides(runs: Sequence[store.Run], split: str) -> tuple[_Side, _Side, Float[np.ndarray, " examples"]]:
    tables = [_table(run, split) for run in runs]
    shared = [i for i in tables[0][1] if i in tables[1][1]]
    if not shared:
        raise BadRequest(f"{runs[0].root} and {runs[1].root} share no example of split {split!r}, so nothing is paired")
    counts = [np.array([table[1][i] for i in shared], dtype=np.float64) for table in tables]
    if (counts[0] != counts[1]).any():
        raise BadRequest(
            f"{runs[0].root} and {runs[1].root} split the same solutions into different tokens, so their nats per "
            "token cannot be compared"
        )
    sides = []
    for snapshots, _, results in tables:
        nll = np.array([[results[s.name][i][0] for i in shared] for s in snapshots])
        correct = np.array([[results[s.name][i][1] for i in shared] for s in snapshots])
        sides.append(_Side(tuple(snapshots), nll, correct))
    return sides[0], sides[1], counts[0]


_Table = tuple[list[Checkpoint], dict[str, int], dict[str, dict[str, tuple[float, float]]]]


def _table(run: store.Run, split: str) -> _Table:
    """Checkpoints that have both; tokens of each example that all of them have; their nll and correctness."""
    checkpoints: list[Checkpoint] = []
    tokens: dict[str, int] | None = None
    results: dict[str, dict[str, tuple[float, float]]] = {}
    for snapshot in store.snapshots(run):
        if split not in snapshot.scores or split not in snapshot.samples or snapshot.checkpoint.step == 0:
            continue
        scores, samples = snapshot.scores[split], snapshot.samples[split]
        rows = zip(samples.example_ids, samples.draw, samples.correct, strict=True)
        right = {i: float(hit) for i, draw, hit in rows if draw == 0}
        here = {
            i: (float(nll), right[i]) for i, nll in zip(scores.example_ids, scores.nll_sums, strict=True) if i in right
        }
        count = dict(zip(scores.example_ids, scores.token_counts.tolist(), strict=True))
        tokens = {i: count[i] for i in here if tokens is None or i in tokens}
        checkpoints.append(snapshot.checkpoint)
        results[snapshot.checkpoint.name] = here
    if tokens is None:
        raise BadRequest(f"{run.root} has no checkpoint with scores and completions of split {split!r}")
    return checkpoints, tokens, results


def _equivalence(
    left: Float[np.ndarray, " examples"], right: Float[np.ndarray, " examples"], margin: float
) -> tuple[float, Estimate]:
    d = left - right
    n = len(d)
    stderr = float(d.std(ddof=1)) / n**0.5 if n > 1 else float("inf")
    value = float(d.mean())
    p = max(stats.noninferior(value, stderr, margin, n), stats.noninferior(-value, stderr, margin, n))
    return p, stats.paired_shares(left == 1, right == 1)


def _pair(
    runs: tuple[store.Run, store.Run],
    names: tuple[str, str],
    a: _Side,
    b: _Side,
    i: int,
    j: int,
    p: float,
    nll: Estimate,
    alpha: float,
) -> Pair:
    sides = [(runs[0], names[0], a.checkpoints[i], a.correct[i]), (runs[1], names[1], b.checkpoints[j], b.correct[j])]
    if (nll.value or 0.0) < 0:
        sides.reverse()
        nll = Estimate(-(nll.value or 0.0), -(nll.high or 0.0), -(nll.low or 0.0), nll.n)
    measured: list[Measurement] = []
    named: list[tuple[str, Snapshot, Float[np.ndarray, " examples"]]] = []
    for run, name, checkpoint, correct in sides:
        full = f"{name}/{checkpoint.name}"
        snapshot = store.read_snapshot(run, checkpoint)
        named.append((full, replace(snapshot, checkpoint=replace(checkpoint, name=full)), correct))
        measured += _measurements(run, checkpoint.name, full)
    (low_name, low_snapshot, low_correct), (high_name, high_snapshot, high_correct) = named
    n = len(low_correct)
    return Pair(
        low_name,
        high_name,
        stats.share(float(low_correct.sum()), n),
        stats.share(float(high_correct.sum()), n),
        stats.paired_shares(low_correct == 1, high_correct == 1),
        p,
        nll,
        costs(low_snapshot, high_snapshot, measured, alpha=alpha),
    )


def _measurements(run: store.Run, checkpoint: str, named: str) -> list[Measurement]:
    rows = store.read_measurements(run) if run.measurements_path.is_file() else []
    return [replace(m, checkpoint=named) for m in rows if m.checkpoint == checkpoint]


def _sentence(pair: Pair) -> str:
    a, b, d = pair.accuracy_low, pair.accuracy_high, pair.nll_difference
    text = (
        f"{pair.low} and {pair.high} solve equally much ({percent(a.value or 0.0)} and {percent(b.value or 0.0)}, "
        f"n = {a.n:,}, p {_p(pair.p_equivalent)} for a difference beyond the margin), but the nll of {pair.high} is "
        f"{d.value or 0.0:.3f} nats per token higher (95% interval {d.low or 0.0:.3f} to {d.high or 0.0:.3f})."
    )
    if not pair.behaviours:
        return text + " No behaviour beside these was measured on both."
    worse = [c for c in pair.behaviours if c.confirmed]
    if not worse:
        return text + f" Of {len(pair.behaviours)} other behaviours none is shown to be worse there."
    return text + " It is also worse in " + ", ".join(f"{c.name} (p {_p(c.p or 0.0)})" for c in worse) + "."


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _none(a: _Side, b: _Side, names: tuple[str, str], tokens: Float[np.ndarray, " examples"], config: Compare) -> str:
    gaps = np.abs(a.correct.mean(1)[:, None] - b.correct.mean(1)[None])
    i, j = np.unravel_index(int(gaps.argmin()), gaps.shape)
    difference = float(np.std(a.correct[i] - b.correct[j]))
    need = stats.examples_needed(max(difference, config.margin**0.5), config.margin - float(gaps[i, j]))
    more = f"; about {rounded(need)} examples would show it" if need and need > len(tokens) else ""
    return (
        f"No pair of checkpoints is shown to have equal accuracy (within {points(config.margin)}) and different "
        f"perplexity (by more than {config.d_nll:g} nats per token) with n = {len(tokens):,}. The closest accuracies "
        f"are those of {names[0]}/{a.checkpoints[int(i)].name} and {names[1]}/{b.checkpoints[int(j)].name}, "
        f"{points(float(gaps[i, j]))} apart{more}."
    )
