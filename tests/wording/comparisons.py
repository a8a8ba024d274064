"""Comparisons of two runs with planted results: the sentences on each are in `expected.txt`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from overmem.records import Consequence, Estimate, Limits
from overmem.records.comparisons import OverSeeds, Pair
from overmem.wording.comparison import comparison_sentences

FAR = Consequence(
    "ood-far", "b/checkpoint-50", Estimate(0.08, 0.03, 0.13, 400), 0.001, True,
    "accuracy on questions of another kind than it was trained on is {} lower",
)  # fmt: skip
PAIR = Pair(
    kinds=("recommended", "last"),
    first="a/checkpoint-40",
    second="b/checkpoint-50",
    accuracy_first=Estimate(0.80, 0.75, 0.84, 400),
    accuracy_second=Estimate(0.70, 0.65, 0.74, 400),
    accuracy=Estimate(-0.10, -0.15, -0.05, 400),
    nll=Estimate(0.21, 0.15, 0.27, 400),
    p_accuracy=0.001,
    p_nll=0.0002,
    p_equivalent=0.9,
    behaviours=(FAR, replace(FAR, name="ood-near", confirmed=False)),
)
OPEN = replace(PAIR, kinds=("matched",), p_accuracy=0.4, p_nll=0.3, behaviours=(replace(FAR, confirmed=False),))
EQUAL = replace(OPEN, p_equivalent=0.01)
CONTRAST = replace(PAIR, kinds=("contrast",), accuracy=Estimate(0.0, -0.02, 0.02, 400), p_accuracy=None, p_nll=0.004)


def _over_seeds(kind, *, is_shown):
    accuracy, nll = Estimate(-0.02, -0.05, 0.01, 3), Estimate(0.21, 0.15, 0.27, 3)
    rows = [
        OverSeeds(kind, "accuracy", accuracy, 0.3, False),
        OverSeeds(kind, "nll", nll, 0.004, is_shown, False),
        OverSeeds(kind, "equivalence", accuracy, 0.02, is_shown),
        OverSeeds(kind, "ood-far", Estimate(0.08, 0.03, 0.13, 3), 0.003, is_shown),
    ]
    return [row for row in rows if kind != "contrast" or row.name in ("nll", "ood-far")]


def _sentences(pairs, across=(), seeds=1, *, has_val=True):
    return comparison_sentences(("a", "b"), pairs, across, seeds, Limits(d_nll=0.05), has_val=has_val)


COMPARISONS: Mapping[str, Callable[[], tuple[str, ...]]] = {
    "accuracy lower, contrast shown": lambda: _sentences([PAIR, CONTRAST]),
    "nothing shown": lambda: _sentences([OPEN]),
    "equal accuracy, contrast not shown": lambda: _sentences([EQUAL, replace(CONTRAST, p_nll=0.2)]),
    "no shared example of val": lambda: _sentences([replace(PAIR, kinds=("last",), behaviours=())], has_val=False),
    "over seeds": lambda: _sentences(
        [], [*_over_seeds("last", is_shown=True), *_over_seeds("contrast", is_shown=True)], 3
    ),
    "over seeds, nothing shown": lambda: _sentences([], _over_seeds("last", is_shown=False), 3),
}
