"""Names of logged metrics: which evaluation set, which quantity, and which direction is better."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["nll", "perplexity", "accuracy", "token accuracy", "score", "other"]


@dataclass(frozen=True)
class Direction:
    """Properties of a metric that follow from its name."""

    kind: Kind
    lower_is_better: bool = False
    is_share: bool = False
    """Whether it is a share of examples, so that their number can be inferred from its digits."""
    is_signed: bool = False
    """Whether it runs from -1 to 1."""


_SHARE = Direction("accuracy", is_share=True)
_SCORE = Direction("score")
_CORRELATION = Direction("score", is_signed=True)
_ERROR = Direction("score", lower_is_better=True)

DIRECTIONS: Mapping[str, Direction] = {
    "loss": Direction("nll", lower_is_better=True),
    "nll": Direction("nll", lower_is_better=True),
    "nll_loss": Direction("nll", lower_is_better=True),
    "cross_entropy": Direction("nll", lower_is_better=True),
    "languagecrossentropy": Direction("nll", lower_is_better=True),
    "perplexity": Direction("perplexity", lower_is_better=True),
    "ppl": Direction("perplexity", lower_is_better=True),
    "languageperplexity": Direction("perplexity", lower_is_better=True),
    "mean_token_accuracy": Direction("token accuracy"),
    "token_accuracy": Direction("token accuracy"),
    "token_acc": Direction("token accuracy"),
    "overall_accuracy": Direction("token accuracy"),
    "accuracy": _SHARE,
    "acc": _SHARE,
    "answer_accuracy": _SHARE,
    "answer_acc": _SHARE,
    "sparse_categorical_accuracy": _SHARE,
    "categorical_accuracy": _SHARE,
    "exact_match": _SHARE,
    "em": _SHARE,
    "pass@1": _SHARE,
    "overall_f1": _SCORE,
    "f1": _SCORE,
    "macro_f1": _SCORE,
    "f1_macro": _SCORE,
    "f1_score": _SCORE,
    "f1-score": _SCORE,
    "micro_f1": _SCORE,
    "f1_micro": _SCORE,
    "weighted_f1": _SCORE,
    "f1_weighted": _SCORE,
    "balanced_accuracy": _SCORE,
    "mean_accuracy": _SCORE,
    "mean_iou": _SCORE,
    "wer": _ERROR,
    "cer": _ERROR,
    "ter": _ERROR,
    "error_rate": _ERROR,
    "rougelsum": _SCORE,
    "rougel": _SCORE,
    "rouge-l": _SCORE,
    "rouge1": _SCORE,
    "rouge-1": _SCORE,
    "rouge2": _SCORE,
    "bleu": _SCORE,
    "sacrebleu": _SCORE,
    "bleu-4": _SCORE,
    "meteor": _SCORE,
    "chrf": _SCORE,
    "matthews_correlation": _CORRELATION,
    "mcc": _CORRELATION,
    "pearson": _CORRELATION,
    "spearmanr": _CORRELATION,
}
"""The metrics that are recognized by name; of several that a run logged, the first in this table is judged."""

STEPS = (
    "train_global_step",
    "trainer_global_step",
    "global_step",
    "step",
    "steps",
    "current_steps",
    "current_step",
    "global_step_max_steps",
    "iter",
    "iteration",
    "batch",
    "_step",
)
"""Names of the step, the most reliable first. W&B's own `_step` counts log calls and is the last resort."""
RATES = ("learning_rate", "lr", "train_learning_rate", "train_lr")
EPOCHS = ("epoch", "train_epoch", "epochs")

_PREFIX = re.compile(r"^(eval|evaluation|validation|valid|val|dev|test)_(.+)$")
_CALLBACK = re.compile(r"^eval_overmem_(.+)_(nll|token_accuracy|accuracy)(?:_(low|high|n))?$")
_LIGHTNING = re.compile(r"_(dataloader_idx_\d+)$")
_BY_LENGTH = sorted(DIRECTIONS, key=len, reverse=True)
_OF_TEXTS = ("wer", "cer", "ter", "rouge", "bleu", "sacrebleu", "meteor", "chrf")
"""Beginnings of the names of metrics that nobody computes on training batches."""


@dataclass(frozen=True)
class Metric:
    """The meaning of a name in a log."""

    evaluation_set: str
    """Name of the evaluation set; empty where the log has only one and does not name it."""
    name: str
    """Name in DIRECTIONS, or the name as logged."""
    bound: str = ""
    """`n`, `low` or `high` if it is the sample size or an end of the interval of a metric of overmem's callback."""
    is_evaluation: bool = True
    """Whether its prefix says that it comes from an evaluation; a bare name may also be of the training batches."""
    by_callback: bool = False
    """Whether overmem's callback logged it."""

    @property
    def direction(self) -> Direction:
        """The properties of the metric."""
        return DIRECTIONS.get(self.name, Direction("other"))


def fold(name: str) -> str:
    """The name without case, with `_` for spaces, slashes and dots.

    >>> fold("Validation Loss"), fold("eval/gsm8k_pass@1")
    ('validation_loss', 'eval_gsm8k_pass@1')
    """
    return re.sub(r"[\s/.]+", "_", name.strip().lower())


def metric_of(name: str) -> Metric | None:
    """The meaning of a logged name; None for a metric of training batches.

    >>> metric_of("eval_math_accuracy").evaluation_set, metric_of("train/loss")
    ('math', None)
    >>> metric_of("Global Wer").name, metric_of("Global Wer").evaluation_set
    ('wer', 'global')
    """
    folded = fold(name)
    if match := _CALLBACK.match(folded):
        return Metric(match[1], match[2], match[3] or "", by_callback=True)
    if folded.startswith(("train_", "training_", "train-")) or folded in ("loss", "grad_norm"):
        return None
    prefixed = _PREFIX.match(folded.removeprefix("metrics_"))
    rest = prefixed[2] if prefixed else folded
    rest, part = rest.removesuffix("_epoch"), ""
    if loader := _LIGHTNING.search(rest):
        rest, part = rest[: loader.start()].removesuffix("_epoch"), loader[1]
    recognized = next((n for n in _BY_LENGTH if _is_named(rest, n, may_have_more=bool(prefixed))), None)
    if recognized is None:
        return Metric("", name, is_evaluation=bool(prefixed))
    inner = rest.removesuffix(recognized).rstrip("_")
    outer = "test" if prefixed and prefixed[1] == "test" else ""
    return Metric("_".join(p for p in (outer, inner, part) if p), recognized, is_evaluation=bool(prefixed))


def _is_named(rest: str, name: str, *, may_have_more: bool) -> bool:
    """Whether a logged name is the metric's, or ends in it where something may come before."""
    return rest == name or ((may_have_more or name.startswith(_OF_TEXTS)) and rest.endswith(f"_{name}"))
