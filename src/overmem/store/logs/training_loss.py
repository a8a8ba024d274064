"""Whether the logged evaluation loss is plain nll, by the settings in the run's folder and by an inequality."""

import math
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from overmem.errors import BadRequest
from overmem.store.logs.files import text_of

SETTINGS = ("overmem/recipe.yaml", "recipe.yaml", "train_args.yaml", "training_args.yaml", "config.yaml")
_OTHER = (
    r"^\s*(use_(?:dft|asft|eaft)_loss:\s*true)",
    r"^\s*(loss(?:_type)?:\s*(?!nll\b|null\b|~|none\b|\{|causal)['\"]?[a-z][\w]*)",
    r"^\s*(label_smoothing_factor:\s*0*\.?0*[1-9]\d*)",
)


def not_nll(
    folder: Path,
    nll: Float[np.ndarray, " checkpoints"],
    token_accuracy: Float[np.ndarray, " checkpoints"],
    is_plain: bool,
) -> list[str]:
    """Warnings that the logged evaluation loss is not plain nll.

    A token that is not the argmax has probability at most 1/2, so nll >= (1 - token accuracy) ln 2.

    Args:
        folder: the run's folder.
        nll: the logged evaluation loss.
        token_accuracy: the token accuracy logged with it; NaN where there is none.
        is_plain: whether the trainer logged an nll in addition to its loss, which is then plain.
    """
    warnings = []
    with np.errstate(invalid="ignore"):
        if (nll < (1 - token_accuracy) * math.log(2) - 1e-6).any():
            warnings.append(
                "eval_loss is smaller than a plain nll can be at this token accuracy: it was computed with another "
                "training loss, and its perplexity means nothing. Audit the checkpoints instead."
            )
    for file in [] if is_plain else [folder / name for name in SETTINGS]:
        setting = _other_loss(file)
        if setting:
            warnings.append(
                f"{file.name} says {setting}: if the evaluation used it too, as TRL and LLaMA-Factory do, the logged "
                "eval_loss is not nll and its perplexity means nothing. Audit the checkpoints instead."
            )
    return warnings


def _other_loss(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        text = text_of(file)
    except BadRequest:
        return ""
    matches = (re.search(pattern, text, flags=re.MULTILINE | re.IGNORECASE) for pattern in _OTHER)
    return next((m[1].strip() for m in matches if m), "")
