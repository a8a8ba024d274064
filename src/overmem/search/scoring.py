"""Observes merges in memory. What was observed lies in `overmem/search/`, so that a killed search goes on."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from overmem import store
from overmem.audit.queue_file import decoding_of, read_queue, refs_of, splits_of
from overmem.errors import BadRequest
from overmem.grading import grade
from overmem.merging.options import Merge
from overmem.merging.unsaved import unsaved_merge
from overmem.models.discovery import CheckpointRef, load_tokenizer
from overmem.models.files import fingerprint
from overmem.models.loading import Model, Skeleton, chosen_device
from overmem.observe.completions import complete
from overmem.observe.engines.decoding import Decoding, EngineSettings
from overmem.observe.engines.hf import HuggingFace
from overmem.observe.engines.packed import packed
from overmem.observe.grades import sandbox_for
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.store.files import frame_note, read_frame, write_frame

FOLDER = "search"
_COLUMNS: Mapping[str, Any] = {"example_id": pl.String, "value": pl.Float64}


@dataclass(frozen=True)
class CandidateScorer:
    """Scores weightings of a run's checkpoints on its audited splits."""

    run: store.Run
    options: Merge
    refs: Sequence[CheckpointRef]
    skeleton: Skeleton
    tokenizer: Any
    decoding: Decoding
    splits: Mapping[str, Split]
    token_budget: int

    def nll_sums(self, weights: Mapping[str, float], split: str) -> dict[str, float]:
        """Summed nll of every solution, by example."""
        return self._observed(weights, split, "nll", self._scored)

    def correct(self, weights: Mapping[str, float], split: str) -> dict[str, float]:
        """Whether the greedy completion of every question is right, by example."""
        return self._observed(weights, split, "correct", self._graded)

    def winners(self, split: str) -> int:
        """Merges whose answers to a split were observed."""
        paths = (self.run.home / FOLDER).glob(f"*/{split}.correct.parquet")
        return sum(self._is_current(path, split) for path in paths)

    def merge_of(self, weights: Mapping[str, float], name: str | None = None) -> Merge:
        """The options that write this candidate; checkpoints in time order, those of weight 0 left out."""
        order = [ref.checkpoint.name for ref in self.refs if weights.get(ref.checkpoint.name)]
        values = tuple(weights[checkpoint] for checkpoint in order)
        return replace(self.options, checkpoints=tuple(order), weights=values, rule="linear", name=name, search=False)

    def key(self, weights: Mapping[str, float]) -> str:
        """A hash of the weights and of the checkpoints that they belong to."""
        paths = {ref.checkpoint.name: ref.path for ref in self.refs}
        parts = sorted((_fingerprint(paths[name]), round(w, 9)) for name, w in weights.items() if w)
        return hashlib.sha256(json.dumps([parts, self.options.dtype]).encode()).hexdigest()[:16]

    def _observed(
        self,
        weights: Mapping[str, float],
        split: str,
        kind: str,
        observe: Callable[[Model, CheckpointRef, Split], dict[str, float]],
    ) -> dict[str, float]:
        """What was observed before, or else is observed now, on the merge in memory."""
        path = self.run.home / FOLDER / self.key(weights) / f"{split}.{kind}.parquet"
        if (values := self._read(path, split)) is None:
            with unsaved_merge(self.merge_of(weights), self.run, self.refs) as unsaved:
                model = self.skeleton.model_of(unsaved)
            with packed(model):
                values = observe(model, unsaved.like, self.splits[split])
            self._write(path, split, values)
        return values

    def _scored(self, model: Model, like: CheckpointRef, split: Split) -> dict[str, float]:
        scored = scores(model, split.encoded, token_budget=self.token_budget, truncated=split.truncated)
        return dict(zip(scored.example_ids, map(float, scored.nll_sums), strict=True))

    def _graded(self, model: Model, like: CheckpointRef, split: Split) -> dict[str, float]:
        if named := sorted({e.kind for e in split.examples if ":" in e.kind}):
            raise BadRequest(f"{split.name} is graded by {', '.join(named)}, which is code: a search grades without it")
        settings = EngineSettings(self.skeleton.base, self.skeleton.dtype, token_budget=self.token_budget)
        engine = HuggingFace(settings)
        engine.open(like, model)
        completions = complete(engine, model, self.tokenizer, split, self.decoding)
        graded = grade(completions, split.examples, sandbox_for(split.examples, run_code=self.options.run_code))
        return dict(zip(completions.example_ids, map(float, graded.correct), strict=True))

    def _is_current(self, path: Path, split: str) -> bool:
        return (frame_note(path) or {}).get("request") == self.splits[split].request

    def _read(self, path: Path, split: str) -> dict[str, float] | None:
        if not path.is_file() or not self._is_current(path, split):
            return None
        frame = read_frame(path, "remove it", _COLUMNS)
        return dict(zip(frame["example_id"], frame["value"], strict=True))

    def _write(self, path: Path, split: str, values: Mapping[str, float]) -> None:
        frame = pl.DataFrame(
            {"example_id": list(values), "value": np.array(list(values.values()))}, schema=dict(_COLUMNS)
        )
        write_frame(path, frame, request=self.splits[split].request)


@cache
def _fingerprint(path: str) -> str:
    return fingerprint(path)


def scorer_of(options: Merge) -> CandidateScorer:
    """The scorer of an audited run.

    Raises:
        BadRequest: the run was not audited, or this machine would not observe what the audit observed.
    """
    import torch

    run = store.open_run(options.run, options.out)
    queue = read_queue(run)
    device = chosen_device(options.device)
    tokenizer = load_tokenizer(queue.tokenizer)
    refs = [ref for ref in refs_of(run, queue) if not ref.checkpoint.merged_from]
    decoding = replace(decoding_of(queue), draws=0, engine=Decoding.engine)
    skeleton = Skeleton(queue.base, device, getattr(torch, queue.dtype))
    splits = splits_of(run, queue, tokenizer)
    return CandidateScorer(run, options, refs, skeleton, tokenizer, decoding, splits, queue.token_budget)
