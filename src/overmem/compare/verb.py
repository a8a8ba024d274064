"""The verb: pairs of checkpoints of two runs at matched accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from overmem import store
from overmem.compare.options import Compare
from overmem.compare.pairs import closest, matched
from overmem.compare.seeds import across
from overmem.compare.sides import sides
from overmem.errors import BadRequest
from overmem.records import Estimate, Limits
from overmem.verdict.matching import Pair
from overmem.wording.comparison import across_sentence, no_pair_sentence, pair_sentence


@dataclass(frozen=True)
class Comparison:
    """Every matched pair that was found, or why there is none."""

    pairs: tuple[Pair, ...]
    sentences: tuple[str, ...]
    over_seeds: Mapping[str, Estimate] = field(default_factory=dict)
    """Where several seeds were given: each difference (high minus low) over seeds, the seed as a random effect."""


def compare(config: Compare) -> Comparison:
    """Pairs of checkpoints across two runs whose accuracies are shown to be equal and whose perplexities differ.

    The control for `epoch 3 against epoch 10 of one run`: what differs within a matched pair is not explained by
    accuracy. Equivalence is shown by two one-sided paired tests, never assumed from a test that found nothing.

    Raises:
        BadRequest: a run was not audited, shares no example of the split, or tokenizes its solutions differently; or
            there are not as many seeds of one run as of the other.
    """
    if len(config.seeds_a) != len(config.seeds_b):
        raise BadRequest(
            f"--seeds-a names {len(config.seeds_a)} runs and --seeds-b {len(config.seeds_b)}; each seed of RUN_A is "
            "compared with one of RUN_B, so give as many, in the same order"
        )
    limits = Limits(d_nll=config.d_nll, margin=config.margin, alpha=config.alpha)
    runs = (store.open_run(config.run_a, config.out_a), store.open_run(config.run_b, config.out_b))
    both = sides(runs, config.split)
    pairs = matched(both, limits, config.pairs)
    if not pairs:
        return Comparison((), (no_pair_sentence(closest(both, limits)),))
    sentences = tuple(pair_sentence(pair) for pair in pairs)
    if not config.seeds_a:
        return Comparison(tuple(pairs), sentences)
    more: list[Pair] = []
    for a, b in zip(config.seeds_a, config.seeds_b, strict=True):
        more += matched(sides((store.open_run(a), store.open_run(b)), config.split), limits, 1, pairs[0].low_run)
    over_seeds = across([pairs[0], *more])
    summary = across_sentence(over_seeds, 1 + len(more), 1 + len(config.seeds_a), limits)
    return Comparison((*pairs, *more), (*sentences, summary), over_seeds)
