"""The interface of an engine."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from overmem.models.discovery import CheckpointRef
from overmem.models.loading import Model
from overmem.observe.engines.decoding import Completion, EngineSettings, Hooks, PromptBatch


class Engine(ABC):
    """Completes prompts, one checkpoint after another. Greedy completions equal those of `generate`."""

    packages: ClassVar[tuple[str, ...]] = ()
    """Python packages that it needs and that overmem does not install."""
    install: ClassVar[str] = ""
    """The command that installs them."""
    shares_prefill: ClassVar[bool] = False
    """Whether it calls `Hooks.on_prefill`, so that the forward pass over a prompt is used for scoring too."""
    has_throughput: ClassVar[bool] = False
    """Whether the warm-up can measure its speed, which `--dry-run` and `--budget` need."""

    def __init__(self, settings: EngineSettings) -> None:
        """Keep the settings; load nothing yet."""
        self.settings = settings

    @abstractmethod
    def open(self, checkpoint: CheckpointRef, model: Model) -> None:
        """Use this checkpoint's weights from now on; `model` is the Hugging Face model that has them.

        Raises:
            BadCheckpoint: weights that the engine cannot load.
        """

    @abstractmethod
    def complete(self, batch: PromptBatch, hooks: Hooks) -> Iterator[Completion]:
        """The greedy completion (draw 0) and all draws of every prompt, each once, in any order."""

    @abstractmethod
    def close(self) -> None:
        """Release the weights. Called once, even after an error."""
