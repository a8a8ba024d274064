"""Which class of transformers loads a checkpoint as a causal language model."""

from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)


def auto_class(path: str) -> Any:
    """The class that loads the checkpoint in this folder or of this hub id."""
    return auto_class_of(AutoConfig.from_pretrained(path, trust_remote_code=False))


def auto_class_of(config: Any) -> Any:
    """AutoModelForCausalLM, or AutoModelForImageTextToText for a vision-language model, which then gets text alone.

    Some types have both classes. The one that wrote the checkpoint is used, because the names of its weights are its
    own.
    """
    name = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(config.model_type)
    written_by_it = name in (getattr(config, "architectures", None) or ())
    if name is not None and (written_by_it or config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def is_known(model_type: str) -> bool:
    """Whether transformers has a class for models of this type that predicts the next token of a text."""
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
