"""Architectures whose completions cannot be had, refused by name before any work begins."""

from collections.abc import Iterable
from pathlib import Path

from overmem.errors import BadRequest
from overmem.models.discovery import CheckpointRef
from overmem.models.files import relevant_config

_STATE = "it keeps a state of its own instead of a cache of transformers"
_NONE = "transformers has no cache for it"
UNSUPPORTED = {
    "rwkv": _STATE, "xlstm": _STATE, "minimax": _STATE, "cpmant": "its prompt has a length of its own",
    "roformer": "its positions do not follow the cache",
    "openai-gpt": _NONE, "xlm": _NONE, "xlnet": _NONE, "reformer": _NONE,
}  # fmt: skip
"""Model type -> why it cannot be completed."""


def check_architecture(refs: Iterable[CheckpointRef]) -> None:
    """Refuse checkpoints of an architecture that cannot be completed, or that is no decoder.

    Raises:
        BadRequest: the message names the architecture and why.
    """
    for ref in refs:
        config = relevant_config(Path(ref.path))
        kind = str(config.get("model_type", ""))
        why = UNSUPPORTED.get(kind, "")
        if config.get("is_encoder_decoder"):
            why = "it has an encoder, and overmem measures decoders (causal language models)"
        if why:
            raise BadRequest(f"{ref.path} is a model of type {kind}, which cannot be audited: {why}")
