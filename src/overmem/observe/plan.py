"""The plan of observations: the encoded splits, how completions are sampled, and the hash of each request."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from overmem.encoding import Encoded, encode
from overmem.observe.engines.decoding import Decoding
from overmem.records import TEMPERATURES, Checkpoint, Example, Plan, PlannedSplit, SplitName
from overmem.store import to_jsonable
from overmem.tasks import Data, with_absolute_paths
from overmem.tasks.splits import sample


@dataclass(frozen=True)
class Split:
    """One split, as text and as token ids."""

    name: str
    examples: tuple[Example, ...]
    encoded: tuple[Encoded, ...]
    """The examples that fit the context window."""
    request: str
    """Hash of everything except the weights that determines the observations of this split."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds to observe: scores if there are solutions; completions if there are answers (not for attacks)."""
        has_answers = not self.examples or any(e.kind != "none" for e in self.examples)
        has_solutions = not self.examples or any(e.solution for e in self.examples)
        samples = ("samples",) * (has_answers and not SplitName.parse(self.name).attack)
        return ("scores",) * has_solutions + samples

    @property
    def truncated(self) -> int:
        """Examples that do not fit the context window; they are not observed."""
        return len(self.examples) - len(self.encoded)

    @property
    def solution_tokens(self) -> int:
        """Reference solution tokens."""
        return sum(len(e.solution_ids) for e in self.encoded)


def planned(
    tokenizer: Any,
    splits: Mapping[str, Sequence[Example]],
    decoding: Decoding,
    *,
    rows: Mapping[str, int],
    context: int,
    template: str | None,
    dtype: str = "float32",
) -> dict[str, Split]:
    """The splits to observe: at most `rows[split]` examples each, the same ones every time.

    Args:
        tokenizer: the run's tokenizer.
        splits: all examples of each split.
        decoding: how completions are sampled.
        rows: number of examples of each split, at most.
        context: length limit of an example, in tokens.
        template: prompt with {question} in it; None for the tokenizer's own.
        dtype: precision of the model.
    """
    planned_splits = {}
    for name, examples in splits.items():
        chosen = sample(examples, name, rows[name])
        encoded = [encode(tokenizer, e, max_length=context, template=template) for e in chosen]
        kept = tuple(e for e in encoded if e is not None)
        hashed = [
            [_hashed(e) for e in chosen],
            [(e.prompt_ids, e.solution_ids) for e in kept],
            {name: value for name, value in asdict(decoding).items() if (name, value) != ("engine", Decoding.engine)},
            TEMPERATURES,
            *[dtype] * (dtype != "float32"),
        ]
        digest = hashlib.sha256(json.dumps(hashed).encode()).hexdigest()[:16]
        planned_splits[name] = Split(name, tuple(chosen), kept, digest)
    return planned_splits


def _hashed(example: Example) -> dict[str, str]:
    """The fields of an example that are hashed; an empty context is left out, as before examples had one."""
    return {name: value for name, value in asdict(example).items() if (name, value) != ("context", "")}


def context_of(config: Any) -> int:
    """The length limit of a model in tokens; 2048 if its configuration has none."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 2048)


def plan_of(
    options: Mapping[str, Any],
    data: Data | None,
    decoding: Decoding,
    template: str | None,
    base: str | None,
    checkpoints: Sequence[Checkpoint],
    splits: Mapping[str, Split],
    carved_splits: Sequence[str] = (),
) -> Plan:
    """The record of what is observed.

    Args:
        options: the options of the verb.
        data: where the examples come from; None if they were passed in and only the run has them.
        decoding: how completions are sampled.
        template: prompt with {question} in it; None for the tokenizer's own.
        base: folder or hub id of the base model; None if unknown.
        checkpoints: the checkpoints to observe.
        splits: the splits to observe.
        carved_splits: the splits that the run may have been trained on.
    """
    return Plan(
        splits={s.name: PlannedSplit(s.request, len(s.examples), s.truncated) for s in splits.values()},
        checkpoints=tuple(checkpoints),
        options=to_jsonable(options),
        base=base,
        data=None if data is None else to_jsonable(with_absolute_paths(data)),
        decoding=to_jsonable(decoding),
        template=template,
        versions={name: importlib.metadata.version(name) for name in ("overmem", "torch", "transformers")},
        carved_splits=tuple(carved_splits),
    )


def longest_completion(splits: Mapping[str, Sequence[Example]], tokenizer: Any, template: str | None) -> int:
    """A length limit for completions: 1.5 times the longest of 200 reference solutions, between 16 and 1024 tokens."""
    sampled = [e for examples in splits.values() for e in examples[:50] if e.solution][:200]
    if not sampled:  # without solutions there is nothing to infer the length from
        return 1024
    lengths = [len(x.solution_ids) for e in sampled if (x := encode(tokenizer, e, template=template)) is not None]
    return min(1024, max(16, int(1.5 * max(lengths, default=16))))
