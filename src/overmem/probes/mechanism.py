"""Why perplexity rises while accuracy stays: which tokens carry the nll, and how much of it is scale."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from overmem.probes.pairs import TokenPairs, token_pairs
from overmem.probes.rows import by_id, example_sums, left_out, missing, row, scores_or_note, splits_of
from overmem.probes.temperature import BEYOND, at_end, lowest
from overmem.records import Estimate, Measurement, Scores, Snapshot
from overmem.seeds import generator
from overmem.statistics import fraction, ratio

SPLIT = ("disagree_share", "nll_agree", "nll_disagree", "nll_part_agree", "nll_part_disagree")
EXCESS = ("excess", "excess_agree", "excess_disagree", "agree_share", "scale_share", "top_percent_share")


def mechanism(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Nll split by whether the label is the argmax, and the nll in excess of a reference checkpoint, on every split.

    `disagree_share`: share of tokens where the label is not the argmax. `nll_agree`, `nll_disagree`: nats per token of
    either kind. `nll_part_agree`, `nll_part_disagree`: what either kind adds to the nll; they sum to it.
    Against `minimum`, the checkpoint of the lowest nll: `excess`: nats per token above it, over the same tokens.
    `excess_agree`, `excess_disagree`: what tokens of either kind (by this checkpoint's argmax) add to the excess.
    `agree_share`: the former as a share of it.
    `scale_share`: 1 - [min_T nll - min_T nll of the reference] / excess, the part that one temperature each undoes.
    `top_percent_share`: share of the risen tokens' rise on the hundredth of all tokens that rose most.
    The shares are of a positive excess: no number where its interval reaches 0.
    """
    rows = []
    for split in splits_of(snapshot):
        scores = scores_or_note(snapshot, split)
        if isinstance(scores, str):
            rows += missing(snapshot, split, "mechanism", (*SPLIT, *EXCESS), scores)
            continue
        rows += _split(snapshot, split, scores)
        reference = "no other checkpoint" if minimum is None else scores_or_note(minimum, split)
        pairs = reference if isinstance(reference, str) else token_pairs(scores, reference)
        if isinstance(reference, str) or isinstance(pairs, str):
            rows += missing(snapshot, split, "mechanism", EXCESS, f"reference: {pairs}")
            continue
        against = {"reference": minimum.checkpoint.name} if minimum else {}
        numbers = _excess(pairs, scores, reference, split)
        rows += [row(snapshot, split, "mechanism", metric, number, **against) for metric, number in numbers.items()]
    return rows


@dataclass(frozen=True)
class TokenExcess:
    """The nll that each token has in excess of the reference, for a figure or a table of the worst."""

    example_ids: tuple[str, ...]
    example: Int[np.ndarray, " tokens"]
    """Position in `example_ids`."""
    token_id: Int[np.ndarray, " tokens"]
    excess: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]


def token_excess(snapshot: Snapshot, reference: Snapshot, split: str) -> TokenExcess | str:
    """The excess of each token of one split in the order of ids, or why there is none."""
    ours, theirs = scores_or_note(snapshot, split), scores_or_note(reference, split)
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours if isinstance(ours, str) else f"reference: {theirs}"
    pairs = token_pairs(ours, theirs)
    if isinstance(pairs, str):
        return pairs
    excess = pairs.nll - pairs.reference_nll
    return TokenExcess(pairs.example_ids, pairs.example, pairs.token_id, excess, pairs.is_argmax)


def _split(snapshot: Snapshot, split: str, scores: Scores) -> list[Measurement]:
    order, note = by_id(scores.example_ids), left_out(scores)
    tokens = scores.token_counts[order].astype(np.float64)
    hit = scores.is_argmax.astype(np.float64)
    agreeing = example_sums(scores, hit)[order]
    agree = example_sums(scores, -scores.logprob.astype(np.float64) * hit)[order]
    disagree = example_sums(scores, -scores.logprob.astype(np.float64) * (1 - hit))[order]
    numbers = (
        fraction(tokens - agreeing, tokens, note),
        ratio(agree, agreeing, note if agreeing.any() else "no token where the label is the argmax"),
        ratio(disagree, tokens - agreeing, note if (tokens > agreeing).any() else "the label is the argmax everywhere"),
        ratio(agree, tokens, note),
        ratio(disagree, tokens, note),
    )
    return [row(snapshot, split, "mechanism", metric, number) for metric, number in zip(SPLIT, numbers, strict=True)]


def _excess(pairs: TokenPairs, scores: Scores, reference: Scores, split: str) -> dict[str, Estimate]:
    change, hit = pairs.nll - pairs.reference_nll, pairs.is_argmax.astype(np.float64)
    tokens, whole = pairs.per_example(np.ones(len(change))), pairs.per_example(change)
    agree = pairs.per_example(change * hit)
    excess = ratio(whole, tokens)
    numbers = {
        "excess": excess,
        "excess_agree": ratio(agree, tokens),
        "excess_disagree": ratio(whole - agree, tokens),
    }
    if excess.value is None or excess.low is None or excess.low <= 0:
        reason = excess.note if excess.value is None else "no excess: its interval reaches 0"
        return numbers | dict.fromkeys(EXCESS[3:], Estimate(None, n=len(tokens), note=reason))
    risen = np.maximum(change, 0.0)
    edge = np.partition(change, -max(1, len(change) // 100))[-max(1, len(change) // 100)]
    top = pairs.per_example(risen * (change >= edge))
    return numbers | {
        "agree_share": ratio(agree, whole),
        "scale_share": _scale_share(pairs, scores, reference, tokens, split),
        "top_percent_share": fraction(top, pairs.per_example(risen)),
    }


def _scale_share(
    pairs: TokenPairs, scores: Scores, reference: Scores, tokens: Float[np.ndarray, " examples"], split: str
) -> Estimate:
    """The share with a bootstrap interval over examples: 1,000 seeded resamples."""
    n = len(tokens)
    grid = scores.tempered_nll[pairs.row].astype(np.float64)
    other = reference.tempered_nll[pairs.reference_row].astype(np.float64)
    if not (np.isfinite(grid).all() and np.isfinite(other).all()):
        return Estimate(None, n=n, note="a tempered nll is not finite")
    counts = generator("scale share", split).multinomial(n, np.full(n, 1 / n), 1000).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), counts])
    (best, value_there), (_, value_before) = lowest(weights @ grid), lowest(weights @ other)
    gap = value_there - value_before
    whole = weights @ (scores.nll_sums[pairs.row] - reference.nll_sums[pairs.reference_row])
    shares = 1 - gap / np.where(np.abs(whole) > 1e-12, whole, np.nan)
    low, high = np.nanquantile(shares[1:], [0.025, 0.975])
    value = float(shares[0])
    stderr = float(np.nanstd(shares[1:], ddof=1))
    note = BEYOND if at_end(float(best[0])) else ""
    return Estimate(value, min(float(low), value), max(float(high), value), n, note, stderr)
