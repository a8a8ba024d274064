"""Observes merges in memory. What was observed lies in `overmem/search/`, so that a killed search goes on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

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
from overmem.probes.draws import pass_at
from overmem.store.files import frame_note, read_frame, write_frame

FOLDER = "search"
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "nll": {"example_id": pl.String, "nll": pl.Float64},
    "answers": {"example_id": pl.String, "correct": pl.Float64, "passed": pl.Float64},
}


class _Loaded(NamedTuple):
    """The candidate whose tensors the skeleton holds now."""

    key: str
    model: Model
    like: CheckpointRef


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
    loaded: list[_Loaded] = field(default_factory=list)
    """At most one."""

    @property
    def draws(self) -> int:
        """Sampled completions of every question, from which pass@k is computed; 0: greedy ones only."""
        return self.decoding.draws

    def nll_sums(self, weights: Mapping[str, float], split: str) -> dict[str, float]:
        """Summed nll of every solution, by example."""
        frame = self._observed(weights, split, "nll")
        return dict(zip(frame["example_id"], frame["nll"], strict=True))

    def answers(self, weights: Mapping[str, float], split: str) -> dict[str, tuple[float, float]]:
        """By example: whether the greedy completion is right, and pass@k (NaN without draws)."""
        frame = self._observed(weights, split, "answers")
        return dict(zip(frame["example_id"], zip(frame["correct"], frame["passed"], strict=True), strict=True))

    def answers_of(self, checkpoint: str, split: str) -> dict[str, tuple[float, float]]:
        """The same of a single checkpoint, as it was audited; empty if it was not."""
        try:
            samples = store.read_samples(self.run, checkpoint, split)
        except BadRequest:
            return {}
        rows = _answers(samples.example_ids, samples.draw, samples.temperature, samples.correct)
        return {name: (correct, passed) for name, correct, passed in rows}

    def winners(self, split: str) -> int:
        """Merges whose answers to a split were observed."""
        paths = (self.run.home / FOLDER).glob(f"*/{split}.answers.parquet")
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

    def _observed(self, weights: Mapping[str, float], split: str, kind: str) -> pl.DataFrame:
        """What was observed before, or else is observed now, on the merge in memory."""
        path = self.run.home / FOLDER / self.key(weights) / f"{split}.{kind}.parquet"
        if path.is_file() and self._is_current(path, split):
            return read_frame(path, "remove it", _COLUMNS[kind])
        candidate = self._load(weights)
        with packed(candidate.model):
            observe = self._scored if kind == "nll" else self._graded
            frame = observe(candidate, self.splits[split])
        write_frame(path, frame, request=self.splits[split].request)
        return frame

    def _load(self, weights: Mapping[str, float]) -> _Loaded:
        """The merge in the skeleton; nothing is loaded if it is there already."""
        key = self.key(weights)
        if not self.loaded or self.loaded[0].key != key:
            self.loaded.clear()
            with unsaved_merge(self.merge_of(weights), self.run, self.refs) as unsaved:
                self.loaded.append(_Loaded(key, self.skeleton.model_of(unsaved), unsaved.like))
        return self.loaded[0]

    def _scored(self, candidate: _Loaded, split: Split) -> pl.DataFrame:
        scored = scores(candidate.model, split.encoded, token_budget=self.token_budget, truncated=split.truncated)
        return pl.DataFrame(
            {"example_id": list(scored.example_ids), "nll": scored.nll_sums}, schema=dict(_COLUMNS["nll"])
        )

    def _graded(self, candidate: _Loaded, split: Split) -> pl.DataFrame:
        if named := sorted({e.kind for e in split.examples if ":" in e.kind}):
            raise BadRequest(f"{split.name} is graded by {', '.join(named)}, which is code: a search grades without it")
        settings = EngineSettings(self.skeleton.base, self.skeleton.dtype, token_budget=self.token_budget)
        engine = HuggingFace(settings)
        engine.open(candidate.like, candidate.model)
        completions = complete(engine, candidate.model, self.tokenizer, split, self.decoding)
        graded = grade(completions, split.examples, sandbox_for(split.examples, run_code=self.options.run_code))
        rows = _answers(completions.example_ids, completions.draw, completions.temperature, graded.correct)
        return pl.DataFrame(rows, schema=dict(_COLUMNS["answers"]), orient="row")

    def _is_current(self, path: Path, split: str) -> bool:
        return (frame_note(path) or {}).get("request") == self.splits[split].request


def _answers(
    example_ids: Sequence[str], draw: np.ndarray, temperature: np.ndarray, correct: np.ndarray
) -> list[tuple[str, float, float]]:
    """(example, whether the greedy completion is right, pass@k over the draws at the first temperature).

    Args:
        example_ids: question of each completion.
        draw: 0 for the greedy one.
        temperature: of each completion.
        correct: whether it is right.
    """
    greedy, drawn, first = dict[str, float](), dict[str, list[bool]](), None
    for name, number, heat, is_right in zip(example_ids, draw, temperature, correct, strict=True):
        if number == 0:
            greedy[name] = float(is_right)
            continue
        first = heat if first is None else first
        if heat == first:
            drawn.setdefault(name, []).append(bool(is_right))
    return [
        (name, right, pass_at(len(drawn[name]), len(drawn[name]), sum(drawn[name])) if name in drawn else float("nan"))
        for name, right in greedy.items()
    ]


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
    decoding = replace(decoding_of(queue), engine=Decoding.engine)
    decoding = replace(decoding, temperatures=decoding.temperatures[:1])
    skeleton = Skeleton(queue.base, device, getattr(torch, queue.dtype))
    splits = splits_of(run, queue, tokenizer)
    return CandidateScorer(run, options, refs, skeleton, tokenizer, decoding, splits, queue.token_budget)
