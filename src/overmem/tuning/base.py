"""The base model for fine-tuning: full precision or quantised."""

from importlib.util import find_spec
from typing import Any

import torch

from overmem.errors import BadRequest
from overmem.tuning import CHANGES_BASE


def check_quantized(quantize: str, method: str) -> None:
    """Refuse a quantised base that this machine or method does not support.

    Raises:
        BadRequest: no CUDA, no bitsandbytes, or a method that changes the base's weights.
    """
    if quantize == "none":
        return
    if method in CHANGES_BASE:
        raise BadRequest(
            f"method {method!r} changes the base's weights, which is not possible with quantize: {quantize}; "
            "allowed: methods that leave them unchanged (lora, rslora, dora, vera, ia3, prompt_tuning)"
        )
    if not torch.cuda.is_available():
        raise BadRequest(f"quantize: {quantize} needs a CUDA device, and there is none; allowed here: none")
    if find_spec("bitsandbytes") is None:
        raise BadRequest(f"quantize: {quantize} needs bitsandbytes: pip install bitsandbytes")


def base_model(path: str, *, dtype: torch.dtype, quantize: str = "none") -> Any:
    """The base model from a folder or hub id, ready for a fine-tuning method.

    Args:
        path: folder or hub id with weights in safetensors.
        dtype: precision of the weights; with `quantize`, of the weights that are not quantised.
        quantize: `4bit` (NF4, its constants quantised too), `8bit` or `none`.

    Raises:
        BadRequest: the model does not exist or cannot be loaded.
    """
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {}
    if quantize != "none":
        from transformers import BitsAndBytesConfig

        is_4bit = quantize == "4bit"
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=is_4bit,
            load_in_8bit=not is_4bit,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16,
        )
        options["device_map"] = {"": torch.cuda.current_device()}
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError) as error:
        raise BadRequest(f"model {path!r} cannot be loaded: {error}") from error
    model.config.use_cache = False
    if quantize != "none":
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
    return model
