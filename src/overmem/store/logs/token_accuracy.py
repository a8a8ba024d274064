"""Whether a logged accuracy counts tokens instead of answers, by the trainer that wrote it and by its curve."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem.errors import BadRequest
from overmem.store.logs.files import json_of, text_of

MIN_EVALUATIONS = 5
"""Fewest evaluations for judging the curve."""
_HIGH_LOSS = 1.5
"""Nats. A classifier whose loss stays above this has hardly learned anything; a language model's often does."""


def trainer_counts_tokens(folder: Path, metric: str) -> str:
    """The trainer that wrote the log, if it logs token accuracy under this name; otherwise empty."""
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
    """Why the accuracy seems to be a token accuracy; empty if it does not.

    A token that is not the argmax has probability at most 1/2, so a token accuracy implies nll >= (1 - accuracy) ln 2.

    Args:
        accuracy: fractions.
        nll: in nats per token.
        rows: number of rows in the evaluation set; None if unknown.
        examples: number of examples inferred from the digits of the accuracies; None if unknown.
    """
    both = np.isfinite(accuracy) & np.isfinite(nll)
    a, loss = accuracy[both], nll[both]
    if len(a) < 2 or (loss < (1 - a) * math.log(2) - 1e-6).any():
        return ""
    if rows is not None and examples != rows and not _is_share_of(a, rows):
        falls = len(set(a)) > 1 and len(set(loss)) > 1 and bool(np.corrcoef(a, loss)[0, 1] < 0)
        return f"it is not a share of the {rows:,} rows evaluated, and it falls as the loss rises" if falls else ""
    if examples is not None or len(a) < MIN_EVALUATIONS:
        return ""
    if loss.min() > _HIGH_LOSS and _rank_correlation(a, np.exp(-loss)) > 0.9:
        return "it follows exp(-loss) from one evaluation to the next, at a loss that is only plausible per token"
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
