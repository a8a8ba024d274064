"""Why perplexity rises while accuracy does not fall: which tokens the nll comes from, and how much of it is scale."""

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
    """Nll by whether the label is the argmax, and the excess nll over a reference checkpoint, on every split.

    `disagree_share`: share of tokens whose label is not the argmax. `nll_agree`, `nll_disagree`: nats per token of
    either kind. `nll_part_agree`, `nll_part_disagree`: the contribution of either kind to the nll; they sum to it.
    Against `minimum`, the checkpoint with the lowest nll: `excess`: nats per token above it, over the same tokens.
    `excess_agree`, `excess_disagree`: the contribution of either kind (by this checkpoint's argmax) to the excess.
    `agree_share`: `excess_agree` / `excess`.
    `scale_share`: 1 - [min_T nll - min_T nll of the reference] / excess, the part that temperature scaling removes.
    `top_percent_share`: of the summed rise of tokens whose nll rose, the share of the 1% of tokens that rose most.
    The shares are defined for a positive excess: no number if its interval reaches 0.
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
        at = {"reference": minimum.checkpoint.name} if minimum else {}
        estimates = _excess(pairs, scores, reference, split)
        rows += [row(snapshot, split, "mechanism", metric, value, **at) for metric, value in estimates.items()]
    return rows


def shares_of_excess(scores: Scores, reference: Scores, split: str) -> dict[str, Estimate]:
    """`scale_share` and `agree_share` over a reference; empty where no example has the same tokens in both."""
    pairs = token_pairs(scores, reference)
    if isinstance(pairs, str):
        return {}
    estimates = _excess(pairs, scores, reference, split)
    return {name: estimates[name] for name in ("scale_share", "agree_share")}


@dataclass(frozen=True)
class TokenExcess:
    """The excess nll of each token over the reference, for figures and tables."""

    example_ids: tuple[str, ...]
    example: Int[np.ndarray, " tokens"]
    """Index in `example_ids`."""
    token_id: Int[np.ndarray, " tokens"]
    excess: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]


def token_excess(snapshot: Snapshot, reference: Snapshot, split: str) -> TokenExcess | str:
    """The excess of each token of one split, in the order of example ids, or why there is none."""
    scores, reference_scores = scores_or_note(snapshot, split), scores_or_note(reference, split)
    if isinstance(scores, str) or isinstance(reference_scores, str):
        return scores if isinstance(scores, str) else f"reference: {reference_scores}"
    pairs = token_pairs(scores, reference_scores)
    if isinstance(pairs, str):
        return pairs
    excess = pairs.nll - pairs.reference_nll
    return TokenExcess(pairs.example_ids, pairs.example, pairs.token_id, excess, pairs.is_argmax)


def _split(snapshot: Snapshot, split: str, scores: Scores) -> list[Measurement]:
    order, note = by_id(scores.example_ids), left_out(scores)
    tokens = scores.token_counts[order].astype(np.float64)
    is_argmax = scores.is_argmax.astype(np.float64)
    agreeing = example_sums(scores, is_argmax)[order]
    nll_agree = example_sums(scores, -scores.logprob.astype(np.float64) * is_argmax)[order]
    nll_disagree = example_sums(scores, -scores.logprob.astype(np.float64) * (1 - is_argmax))[order]
    disagreeing = tokens - agreeing
    estimates = (
        fraction(disagreeing, tokens, note),
        ratio(nll_agree, agreeing, note if agreeing.any() else "no token where the label is the argmax"),
        ratio(nll_disagree, disagreeing, note if (disagreeing > 0).any() else "the label is the argmax everywhere"),
        ratio(nll_agree, tokens, note),
        ratio(nll_disagree, tokens, note),
    )
    return [row(snapshot, split, "mechanism", metric, value) for metric, value in zip(SPLIT, estimates, strict=True)]


def _excess(pairs: TokenPairs, scores: Scores, reference: Scores, split: str) -> dict[str, Estimate]:
    change, is_argmax = pairs.nll - pairs.reference_nll, pairs.is_argmax.astype(np.float64)
    tokens, total = pairs.per_example(np.ones(len(change))), pairs.per_example(change)
    agree = pairs.per_example(change * is_argmax)
    excess = ratio(total, tokens)
    estimates = {
        "excess": excess,
        "excess_agree": ratio(agree, tokens),
        "excess_disagree": ratio(total - agree, tokens),
    }
    if excess.value is None or excess.low is None or excess.low <= 0:
        reason = excess.note if excess.value is None else "no excess: its interval reaches 0"
        return estimates | dict.fromkeys(EXCESS[3:], Estimate(None, n=len(tokens), note=reason))
    rise = np.maximum(change, 0.0)
    percent = max(1, len(change) // 100)
    threshold = np.partition(change, -percent)[-percent]
    top = pairs.per_example(rise * (change >= threshold))
    return estimates | {
        "agree_share": ratio(agree, total),
        "scale_share": _scale_share(pairs, scores, reference, tokens, split),
        "top_percent_share": fraction(top, pairs.per_example(rise)),
    }


def _scale_share(
    pairs: TokenPairs, scores: Scores, reference: Scores, tokens: Float[np.ndarray, " examples"], split: str
) -> Estimate:
    """`scale_share` with a bootstrap interval over examples: 1,000 seeded resamples.

    Args:
        pairs: the tokens that both checkpoints scored.
        scores: the scores of this checkpoint.
        reference: the scores of the reference.
        tokens: the number of tokens of each example in `pairs`.
        split: seed of the bootstrap.
    """
    n = len(tokens)
    grid = scores.tempered_nll[pairs.row].astype(np.float64)  # [examples temperatures]
    reference_grid = reference.tempered_nll[pairs.reference_row].astype(np.float64)
    if not (np.isfinite(grid).all() and np.isfinite(reference_grid).all()):
        return Estimate(None, n=n, note="a tempered nll is not finite")
    counts = generator("scale share", split).multinomial(n, np.full(n, 1 / n), 1000).astype(np.float64)
    weights = np.concatenate([np.ones((1, n)), counts])  # row 0 is the data, the others are resamples
    (temperature, tempered), (_, reference_tempered) = lowest(weights @ grid), lowest(weights @ reference_grid)
    excess = weights @ (scores.nll_sums[pairs.row] - reference.nll_sums[pairs.reference_row])
    shares = 1 - (tempered - reference_tempered) / np.where(np.abs(excess) > 1e-12, excess, np.nan)
    low, high = np.nanquantile(shares[1:], [0.025, 0.975])
    value = float(shares[0])
    stderr = float(np.nanstd(shares[1:], ddof=1))
    note = BEYOND if at_end(float(temperature[0])) else ""
    return Estimate(value, min(float(low), value), max(float(high), value), n, note, stderr)
