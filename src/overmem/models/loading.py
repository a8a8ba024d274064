"""One model in memory; the weights of each checkpoint are copied into it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import safe_open

from overmem.errors import BadCheckpoint, BadRequest, unknown
from overmem.models.auto import auto_class
from overmem.models.discovery import CheckpointRef
from overmem.models.embeddings import embedding_names, resize_embeddings
from overmem.models.files import KEEPS_BASE, json_object, relevant_config, tensor_shapes, weight_files
from overmem.models.unsaved import UnsavedWeights, copy_into, loaded, with_adapter
from overmem.models.virtual import without_prompt_learning

Model: TypeAlias = Any
"""A transformers causal language model, or PEFT's wrapper around one."""


def chosen_device(name: str) -> str:
    """The device of this name; for `auto` a GPU if there is one.

    Raises:
        BadRequest: it does not exist; the message lists the allowed devices.
    """
    device = name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    devices = ["cpu"]
    if (accelerator := torch.accelerator.current_accelerator(check_available=True)) is not None:
        devices += [accelerator.type, *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]
    if device not in devices:
        raise unknown("device", device, ["auto", *devices], "this machine's")
    return device


@dataclass
class Skeleton:
    """One model in memory. Copying each checkpoint's weights into it is faster than loading every model."""

    base: str | None
    """Folder or hub id of the base model; needed for adapters."""
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    _model: Any = field(default=None, repr=False)
    _config: dict[str, Any] = field(default_factory=dict, repr=False)
    _loaded_path: str = field(default="", repr=False)
    _can_unload: bool = field(default=False, repr=False)
    _is_base_unchanged: bool = field(default=True, repr=False)

    def model(self, ref: CheckpointRef) -> Model:
        """The model with this checkpoint's weights, in evaluation mode.

        Raises:
            BadCheckpoint: weights that are pickled, truncated, missing or of a wrong shape, or another library error.
            BadRequest: the model does not fit on the device.
        """
        if self._model is not None and self._loaded_path == ref.path:
            return self._model
        return self._guarded(
            ref.path, lambda: self._with_adapter(ref) if ref.is_adapter else self._with_weights(ref.path)
        )

    def model_of(self, weights: UnsavedWeights) -> Model:
        """The model with weights that are in no file, in evaluation mode.

        Raises:
            BadCheckpoint: weights that are missing or of a wrong shape, or another library error.
            BadRequest: the model does not fit on the device.
        """
        load = self._with_unsaved_adapter if weights.adapter_config is not None else self._with_unsaved
        return self._guarded(f"a merge like {weights.like.path}", lambda: load(weights))

    def _guarded(self, what: str, load: Callable[[], Model]) -> Model:
        """The model that `load` returns, in evaluation mode; errors of libraries become ours, and name `what`."""
        try:
            model = load()
        except torch.OutOfMemoryError as error:
            self._model = None
            raise BadRequest(f"{what} does not fit on {self.device}: {error}; allowed: another --device") from error
        except (BadCheckpoint, BadRequest):
            self._model = None
            raise
        except Exception as error:  # libraries raise anything for a folder they cannot read
            self._model = None
            raise BadCheckpoint(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
        model.train(False)
        return model

    def _with_weights(self, path: str) -> Model:
        folder = Path(path)
        if self._model is not None and self._loaded_path == path:
            return self._model
        if not folder.is_dir():
            return self._load(path)
        files = weight_files(folder)
        config = relevant_config(folder)
        if self._model is None or config != self._config or not _same_shapes(self._model, files):
            return self._load(path)
        self._loaded_path = ""
        _copy_weights(files, self._model)
        self._loaded_path = path
        return self._model

    def _load(self, path: str) -> Model:
        self._model = None
        loaded: Any = auto_class(path).from_pretrained(
            path, dtype=self.dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
        model, info = loaded
        if info["missing_keys"]:
            raise BadCheckpoint(f"{path} lacks weights: {', '.join(sorted(info['missing_keys'])[:5])}")
        self._model = model.to(self.device)
        self._config, self._loaded_path = relevant_config(Path(path)), path
        return self._model

    def _with_adapter(self, ref: CheckpointRef) -> Model:
        from peft import PeftModel, get_peft_model_state_dict

        files = weight_files(Path(ref.path))
        base = self._base_model(ref.path)
        config = json_object(Path(ref.path) / "adapter_config.json")
        if str(config.get("init_lora_weights")).startswith("pissa_niter"):
            raise BadCheckpoint(
                f"{ref.path} was initialised with {config['init_lora_weights']}, whose random part of the base weights "
                "cannot be recomputed; convert it to plain LoRA: model.save_pretrained(folder, "
                "path_initial_model_for_weight_conversion=<adapter saved before training>)"
            )
        shapes = tensor_shapes(files)
        self._remember(config, shapes)
        resize_embeddings(base, shapes)
        model: Any = PeftModel.from_pretrained(base, ref.path, torch_device=self.device)
        expected = set(get_peft_model_state_dict(model, save_embedding_layers=False))
        if missing := sorted(expected - set(shapes)):  # PEFT only warns about missing tensors
            self._model = None
            raise BadCheckpoint(f"{ref.path} lacks weights: {', '.join(missing[:5])}")
        is_prompt = model.active_peft_config.is_prompt_learning
        self._model = without_prompt_learning(model, ref.path) if is_prompt else model
        self._loaded_path = ref.path
        return self._model

    def _base_model(self, adapter: str) -> Model:
        """The base model without an adapter, for this adapter."""
        if self.base is None:
            raise BadCheckpoint(f"{adapter} is an adapter and its base model is not known; give --base")
        if self._model is not None and hasattr(self._model, "peft_config"):
            self._model = self._model.unload() if self._can_unload else None
            self._loaded_path = self.base if self._can_unload and self._is_base_unchanged else ""
        return self._with_weights(self.base)

    def _remember(self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Note whether an adapter of these settings and tensors can be unloaded, and whether that restores the base."""
        copies_layers = bool(config.get("layer_replication"))
        keeps_base = config.get("init_lora_weights", True) in KEEPS_BASE
        self._can_unload = config.get("peft_type") == "LORA" and keeps_base and not copies_layers
        # PEFT leaves modules that were trained whole in the base's place, and trained biases in the base's layers.
        trains_whole = bool(config.get("modules_to_save")) or not embedding_names(self._model).isdisjoint(shapes)
        self._is_base_unchanged = not trains_whole and config.get("bias", "none") == "none"

    def _with_unsaved(self, weights: UnsavedWeights) -> Model:
        config = relevant_config(Path(weights.like.path))
        if self._model is None or config != self._config or not _has_shapes(self._model, weights.shapes):
            self._with_weights(weights.like.path)
        self._loaded_path = ""
        if _has_shapes(self._model, weights.shapes):
            copy_into(self._model, weights)
        else:
            self._model = None
            self._model, self._config = loaded(weights, self.dtype).to(self.device), config
        return self._model

    def _with_unsaved_adapter(self, weights: UnsavedWeights) -> Model:
        base = self._base_model(weights.like.path)
        self._remember(weights.adapter_config or {}, weights.shapes)
        self._loaded_path = ""
        resize_embeddings(base, weights.shapes)
        self._model = with_adapter(base, weights)
        return self._model


def _same_shapes(model: Model, files: list[Path]) -> bool:
    """Whether the files hold exactly the weights of the model, in the same shapes (tied weights once)."""
    return _has_shapes(model, tensor_shapes(files))


def _has_shapes(model: Model, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a model has exactly the tensors of these names and shapes (tied weights once)."""
    targets = model.state_dict()
    tensor_pointers = {targets[name].data_ptr() for name in shapes if name in targets}
    return all(name in targets and tuple(targets[name].shape) == shape for name, shape in shapes.items()) and all(
        tensor.data_ptr() in tensor_pointers for tensor in targets.values()
    )


@torch.no_grad()
def _copy_weights(files: list[Path], model: Model) -> None:
    """Copy every tensor in `files` into `model`, one at a time."""
    targets = model.state_dict()
    for file in files:
        with safe_open(file, framework="pt") as stream:
            for name in stream.keys():  # noqa: SIM118
                targets[name].copy_(stream.get_tensor(name))
