"""Architectures that overmem cannot sample from; they are refused by name before any work starts."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from overmem.errors import BadRequest
from overmem.models.auto import is_known
from overmem.models.discovery import CheckpointRef
from overmem.models.files import relevant_config

_OWN_STATE = "it keeps its own state instead of a transformers cache"
_NO_CACHE = "transformers has no cache for it"
UNSUPPORTED = {
    "rwkv": _OWN_STATE, "xlstm": _OWN_STATE, "minimax": _OWN_STATE, "cpmant": "it puts extra tokens before the prompt",
    "roformer": "its positions do not follow the cache",
    "openai-gpt": _NO_CACHE, "xlm": _NO_CACHE, "xlnet": _NO_CACHE, "reformer": _NO_CACHE,
}  # fmt: skip
"""Model type -> why completions cannot be sampled from it."""


def check_architecture(refs: Iterable[CheckpointRef]) -> None:
    """Refuse checkpoints of an architecture that overmem cannot sample from, or that is not a decoder.

    Raises:
        BadRequest: the message names the architecture and the reason.
    """
    for ref in refs:
        config = relevant_config(Path(ref.path))
        model_type = str(config.get("model_type", ""))
        reason = UNSUPPORTED.get(model_type, "")
        if model_type and not is_known(model_type):
            reason = f"transformers {version('transformers')} has no causal language model of this type"
        if config.get("is_encoder_decoder"):
            reason = "it has an encoder, and overmem measures decoders (causal language models)"
        if reason:
            raise BadRequest(f"{ref.path} is a model of type {model_type}, which cannot be audited: {reason}")
