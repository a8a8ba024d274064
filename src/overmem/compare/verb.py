"""The verb: checkpoints of two runs, chosen on val and compared on test."""

from dataclasses import dataclass, field

from overmem import store
from overmem.compare.options import Compare
from overmem.compare.pairs import corrected, tested, uncorrected
from overmem.compare.seeds import over_seeds
from overmem.compare.sides import sides
from overmem.errors import BadRequest
from overmem.records import Limits
from overmem.records.comparisons import OverSeeds, Pair
from overmem.wording.comparison import comparison_sentences


@dataclass(frozen=True)
class Comparison:
    """How two runs differ."""

    pairs: tuple[Pair, ...]
    """Every pair that was chosen on val, shown to differ or not; of every seed, where several were given."""
    sentences: tuple[str, ...]
    over_seeds: tuple[OverSeeds, ...] = ()
    """Where several seeds were given: each difference over seeds. Then nothing is claimed of a single pair."""
    seeds: int = 1
    has_val: bool = True
    """Whether checkpoints could be chosen on val; if not, only the last ones are compared."""
    limits: Limits = field(default_factory=Limits)


def compare(config: Compare) -> Comparison:
    """How the checkpoints differ that two runs would ship, that they end with, and that reach the same accuracy.

    Which ones these are is decided on val, before anything is measured on test, and every test counts for Holm's
    correction: of two equal runs a difference is claimed in at most a share `alpha` of cases. A contrast is added, the
    control for `epoch 3 against epoch 10 of one run`: two checkpoints of equal accuracy and different perplexity, so
    that accuracy does not explain what else they differ in. Equal is shown by two one-sided tests, never assumed.

    Raises:
        BadRequest: a run was not audited, is given twice or copied, shares no example of the split, or tokenizes its
            solutions differently; or there are not as many seeds of one run as of the other.
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
    found = [tested(a, b, limits, config.pairs, with_luck=not several) for a, b in pairs]
    has_val = all(a.val is not None for a, _ in pairs)
    across = over_seeds(found, limits) if several else ()
    made = tuple(p for seed in found for p in uncorrected(seed)) if several else corrected(found[0], limits.alpha)
    names = (pairs[0][0].name, pairs[0][1].name)
    text = comparison_sentences(names, made, across, len(pairs), limits, has_val=has_val)
    return Comparison(made, text, across, len(pairs), has_val, limits)


def _refuse_duplicates(runs: list[store.Run]) -> None:
    seen: set[object] = set()
    for run in runs:
        if run.home.resolve() in seen:
            raise BadRequest(f"{run.root} is given twice; every run and every seed counts once")
        seen.add(run.home.resolve())
