"""The verb `compare`: chooses checkpoints of two runs on val and compares them on test."""

from dataclasses import dataclass, field

from overmem import store
from overmem.compare.options import Compare
from overmem.compare.pairs import corrected, tested, without_p
from overmem.compare.seeds import over_seeds
from overmem.compare.sides import sides
from overmem.errors import BadRequest
from overmem.records import Limits
from overmem.records.comparisons import OverSeeds, Pair
from overmem.wording.comparison import comparison_sentences


@dataclass(frozen=True)
class Comparison:
    """The differences between two runs."""

    pairs: tuple[Pair, ...]
    """Every pair of checkpoints that was chosen on val, of every seed."""
    sentences: tuple[str, ...]
    over_seeds: tuple[OverSeeds, ...] = ()
    """The mean of each difference over seeds, if there are several; then nothing is claimed about a single pair."""
    seeds: int = 1
    has_val: bool = True
    """Whether checkpoints could be chosen on val; if not, only the last ones are compared."""
    limits: Limits = field(default_factory=Limits)


def compare(config: Compare) -> Comparison:
    """The differences between two runs: of their recommended, their last and equally accurate checkpoints.

    The checkpoints are chosen on val and compared on test. P values are Holm-corrected over all tests: for equal runs a
    difference is claimed in at most a share `alpha` of comparisons. A contrast is added, as a control for comparing
    epoch 3 with epoch 10 of one run: two checkpoints of equal accuracy and different perplexity, so that accuracy does
    not explain their other differences. Equality is shown by two one-sided tests, never assumed.

    Raises:
        BadRequest: a run was not audited, is given twice or copied, shares no example of the split, or tokenizes its
            solutions differently; or the two runs have different numbers of seeds.
    """
    if len(config.seeds_a) != len(config.seeds_b):
        raise BadRequest(
            f"--seeds-a names {len(config.seeds_a)} runs and --seeds-b {len(config.seeds_b)}; each seed of RUN_A is "
            "compared with one of RUN_B, so give as many, in the same order"
        )
    limits = Limits(d_nll=config.d_nll, margin=config.margin, alpha=config.alpha)
    runs = [(store.open_run(config.run_a, config.out_a), store.open_run(config.run_b, config.out_b))]
    runs += [(store.open_run(a), store.open_run(b)) for a, b in zip(config.seeds_a, config.seeds_b, strict=True)]
    _refuse_duplicates([run for pair in runs for run in pair])
    pairs = [sides(pair, config.split) for pair in runs]
    several = len(pairs) > 1
    by_seed = [tested(a, b, limits, config.pairs, with_luck=not several) for a, b in pairs]
    has_val = all(a.val is not None for a, _ in pairs)
    across = over_seeds(by_seed, limits) if several else ()
    if several:
        compared = tuple(pair for seed in by_seed for pair in without_p(seed))
    else:
        compared = corrected(by_seed[0], limits.alpha)
    names = (pairs[0][0].name, pairs[0][1].name)
    text = comparison_sentences(names, compared, across, len(pairs), limits, has_val=has_val)
    return Comparison(compared, text, across, len(pairs), has_val, limits)


def _refuse_duplicates(runs: list[store.Run]) -> None:
    seen: set[object] = set()
    for run in runs:
        if run.home.resolve() in seen:
            raise BadRequest(f"{run.root} is given twice; every run and every seed counts once")
        seen.add(run.home.resolve())
