"""Whether a logged accuracy is that of tokens, by the trainer that wrote it and by its curve."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, text_of

ENOUGH = 5
"""Fewest evaluations for judging the curve."""
_SURPRISED = 1.5
"""Nats: a classifier whose loss stays above this hardly learned anything; a language model often stays there."""


def trainer_counts_tokens(folder: Path, metric: str) -> str:
    """The trainer that wrote the log, if its accuracy is that of tokens; otherwise empty."""
    if (folder / "trainer_log.jsonl").is_file() or (folder / "llamaboard_config.yaml").is_file():
        return "LLaMA-Factory"
    if (folder / "logging.jsonl").is_file() and metric in ("acc", "accuracy"):
        return "ms-swift"
    for name in ("eval_results.json", "all_results.json"):
        if (folder / name).is_file() and "perplexity" in _keys(folder / name):
            return "run_clm"
    return ""


def looks_like_tokens(
    accuracy: Float[np.ndarray, " checkpoints"],
    nll: Float[np.ndarray, " checkpoints"],
    *,
    rows: int | None,
    examples: int | None,
) -> str:
    """Why the accuracy seems to be that of tokens; empty if it does not.

    A token that is not the argmax has probability at most 1/2, so nll >= (1 - accuracy) ln 2 for an accuracy of tokens.

    Args:
        accuracy: fractions.
        nll: in nats per token.
        rows: of the evaluation set, where the log tells.
        examples: the number that the accuracies' digits give away.
    """
    both = np.isfinite(accuracy) & np.isfinite(nll)
    a, loss = accuracy[both], nll[both]
    if len(a) < 2 or (loss < (1 - a) * math.log(2) - 1e-6).any():
        return ""
    if rows is not None and examples != rows and not _is_share_of(a, rows):
        follows = bool(np.corrcoef(a, loss)[0, 1] < 0) if len(set(a)) > 1 and len(set(loss)) > 1 else False
        return f"it is no share of the {rows:,} rows that were evaluated, and it falls as the loss rises" * follows
    if examples is not None or len(a) < ENOUGH:
        return ""
    if loss.min() > _SURPRISED and _rank_correlation(a, np.exp(-loss)) > 0.9:
        return "it follows exp(-loss) from evaluation to evaluation, at a loss that only tokens have"
    return ""


def _is_share_of(values: Float[np.ndarray, " checkpoints"], n: int) -> bool:
    scaled = values * n
    return bool((np.abs(scaled - np.round(scaled)) <= 0.5e-4 * n + 1e-6).all())


def _rank_correlation(a: Float[np.ndarray, " values"], b: Float[np.ndarray, " values"]) -> float:
    from scipy.stats import spearmanr

    value = float(spearmanr(a, b).statistic) if len(set(a)) > 1 and len(set(b)) > 1 else 0.0
    return value if math.isfinite(value) else 0.0


def _keys(path: Path) -> set[str]:
    try:
        value = json_of(text_of(path), path.name)
    except BadRequest:
        return set()
    return set(value) if isinstance(value, dict) else set()
