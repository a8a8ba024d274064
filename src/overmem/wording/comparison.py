"""A comparison of two runs, in sentences."""

from collections.abc import Sequence

from overmem.records import Estimate, Limits
from overmem.records.comparisons import OverSeeds, Pair
from overmem.wording.harm import cost_clause
from overmem.wording.numbers import (
    capital,
    format_interval,
    format_n,
    parenthetical,
    percent,
    points,
    signed_nats,
    signed_points,
)

TITLES = {
    "recommended": "the choices on val",
    "last": "the last checkpoints",
    "matched": "those of lowest nll at the accuracy that both runs reach on val",
    "contrast": "those of equal accuracy and most different nll on val",
}
"""Why two checkpoints are compared, by kind."""


def comparison_sentences(
    names: tuple[str, str],
    pairs: Sequence[Pair],
    across: Sequence[OverSeeds],
    seeds: int,
    limits: Limits,
    *,
    has_val: bool,
) -> tuple[str, ...]:
    """A sentence or two on each pair, or over seeds on each kind of pair, and on the correction.

    Args:
        names: names of the two runs.
        pairs: every pair; of all seeds if there are several.
        across: the differences over seeds; empty for one seed.
        seeds: number of seeds of each run.
        limits: margin, the nll that matters, error rate.
        has_val: whether the checkpoints were chosen on val.
    """
    lead = (
        []
        if has_val
        else ["The runs share no example of val, where checkpoints are chosen: only the last are compared."]
    )
    if seeds > 1:
        kinds = dict.fromkeys(row.kind for row in across)
        sentences = [_over_seeds(kind, [r for r in across if r.kind == kind], names, seeds, limits) for kind in kinds]
        if has_val and "contrast" not in kinds:
            sentences.append(_NO_CONTRAST_OVER_SEEDS)
        return (*lead, *sentences, _corrected(sum(row.p is not None for row in across), limits))
    sentences = [_contrast(p, limits) if p.is_contrast else _pair(p, limits) for p in pairs]
    if has_val and not any(p.is_contrast for p in pairs):
        sentences.append(
            f"There is no contrast: on val no two checkpoints are shown to have equal accuracy (within "
            f"{points(limits.margin)}) and differ in nll by more than {limits.absolute:g}."
        )
    tests = sum(p is not None for pair in pairs for p in (pair.p_accuracy, pair.p_nll, pair.p_equivalent))
    tests += sum(len(pair.behaviours) for pair in pairs)
    return (
        *lead,
        *sentences,
        _corrected(tests, limits),
        "Each run is one seed: the luck of a checkpoint (a point of accuracy, or more) is in the intervals, but it is "
        "not known whether other seeds of the two recipes differ in the same way. Add seeds with --seeds-a and "
        "--seeds-b.",
    )


_NO_CONTRAST_OVER_SEEDS = (
    "There is no contrast over seeds: not every seed has two checkpoints of equal accuracy on val."
)


def _pair(pair: Pair, limits: Limits) -> str:
    title = " and ".join(TITLES[kind] for kind in pair.kinds)
    text = (
        f"{capital(title)}, {pair.first} and {pair.second}: accuracy {percent(pair.accuracy_first.value)} and "
        f"{percent(pair.accuracy_second.value)}{_accuracy(pair.accuracy)}, {_accuracy_claim(pair, limits)}; the nll of "
        f"the second is {_nats(pair.nll)}, {_nll_claim(pair.nll, pair.p_nll, limits)}."
    )
    return f"{text}{_behaviours(pair)}"


def _contrast(pair: Pair, limits: Limits) -> str:
    title = (
        f"{capital(TITLES['contrast'])}, {pair.first} and {pair.second}: accuracy "
        f"{percent(pair.accuracy_first.value)} and {percent(pair.accuracy_second.value)}{_accuracy(pair.accuracy)}, "
        f"nll {_nats(pair.nll)}"
    )
    if pair.p_nll is None or pair.p_nll >= limits.alpha:
        return (
            f"{title}. It is not shown that they are equally accurate (within {points(limits.margin)}) and differ by "
            f"more than {limits.absolute:g} nats per token{parenthetical(_p(pair.p_nll))}."
        )
    return (
        f"{title}. They are equally accurate and differ in perplexity{parenthetical(_p(pair.p_nll))}, so accuracy does "
        f"not explain their other differences.{_behaviours(pair)}"
    )


def _behaviours(pair: Pair) -> str:
    if not pair.behaviours:
        return ""
    tested = f" Of {len(pair.behaviours)} other behaviour{'s' if len(pair.behaviours) > 1 else ''}"
    worse = [c for c in pair.behaviours if c.confirmed]
    if not worse:
        return f"{tested} none is shown to be worse at the second."
    return f"{tested} the second is worse in: {'; '.join(cost_clause(c) for c in worse)}."


def _accuracy_claim(pair: Pair, limits: Limits) -> str:
    value = pair.accuracy.value
    if pair.p_accuracy is not None and pair.p_accuracy < limits.alpha and value is not None:
        return f"shown to be {'higher' if value > 0 else 'lower'} at the second ({_p(pair.p_accuracy)})"
    if pair.p_equivalent is not None and pair.p_equivalent < limits.alpha:
        return f"shown to be equal within {points(limits.margin)} ({_p(pair.p_equivalent)})"
    return "not shown to differ, nor to be equal"


def _nll_claim(nll: Estimate, p: float | None, limits: Limits) -> str:
    if p is not None and p < limits.alpha:
        return f"shown to differ by more than {limits.absolute:g} ({_p(p)})"
    return f"not shown to differ by more than {limits.absolute:g}"


def _over_seeds(kind: str, rows: Sequence[OverSeeds], names: tuple[str, str], seeds: int, limits: Limits) -> str:
    by_name = {row.name: row for row in rows}
    accuracy, nll = by_name.get("accuracy"), by_name["nll"]
    second = f"the second (of {names[1]})" if kind != "contrast" else "the second (of higher nll on val)"
    parts = []
    if accuracy is not None:
        equal = by_name["equivalence"].shown
        claim = (
            "which is shown" if accuracy.shown else f"shown to be equal within {points(limits.margin)}" if equal
            else "not shown to differ, nor to be equal"
        )  # fmt: skip
        size = "unknown" if accuracy.difference.value is None else f"{signed_points(accuracy.difference.value)} points"
        parts.append(f"accuracy {size}{_over(accuracy, '+.1f', 100)}, {claim}")
    shown = "shown to differ" if nll.shown else "not shown to differ"
    equally = " at equal accuracy" if kind == "contrast" else ""
    parts.append(
        f"nll {_nats(nll.difference, interval=False)}{_over(nll, '+.3f')}, {shown} by more than "
        f"{limits.absolute:g}{equally}"
    )
    text = (
        f"Over {seeds} seeds, the seed as a random effect, {TITLES[kind]}; {second} minus the first: "
        f"{'; '.join(parts)}."
    )
    rest = [row for row in rows if row.name not in ("accuracy", "nll", "equivalence")]
    if not rest:
        return text
    worse = [
        f"{r.name} {_size(r)}{_over(r, '+.3f')}"
        for r in rest
        if r.shown and r.difference.value is not None and r.difference.value > 0
    ]
    tested = f"Of {len(rest)} other behaviour{'s' if len(rest) > 1 else ''}"
    return (
        f"{text} {tested} it is worse in: {'; '.join(worse)}."
        if worse
        else f"{text} {tested} none is shown to be worse."
    )


def _size(row: OverSeeds) -> str:
    return "" if row.difference.value is None else signed_nats(row.difference.value)


def _over(row: OverSeeds, form: str, scale: int = 1) -> str:
    d = row.difference
    return parenthetical(format_interval(d.low, d.high, form, scale), _p(row.p))


def _corrected(tests: int, limits: Limits) -> str:
    return (
        f"{tests} tests were made, and p is corrected for all of them (Holm): of equal runs, any difference is claimed "
        f"in at most {100 * limits.alpha:g}% of comparisons."
    )


def _accuracy(difference: Estimate) -> str:
    size = "" if difference.value is None else f"{signed_points(difference.value)} points"
    return parenthetical(size, format_interval(difference.low, difference.high, "+.1f", 100), format_n(difference.n))


def _nats(difference: Estimate, *, interval: bool = True) -> str:
    if difference.value is None:
        return "unknown"
    shown = parenthetical(format_interval(difference.low, difference.high, "+.3f")) if interval else ""
    return f"{signed_nats(difference.value)} nats per token{shown}"


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
