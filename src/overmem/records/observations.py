"""Records of observations: examples, checkpoints, scores, completions, grades, curves.

Log probabilities are natural (<= 0); nll is in nats per token (>= 0); fractions are never percent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

SCHEMA = 2
"""Version of every file that overmem writes."""

READABLE_SCHEMAS = (1, 2)
"""Versions that overmem reads; older ones are converted on reading. Any other version is refused."""

TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.45, 1.75, 2.1, 2.6, 3.2)
"""Temperatures at which the nll of solutions is also computed (temperature recovery, scale share)."""

NEIGHBOUR_MARK = "~"
"""Separator between an example's id and the number of a changed copy of its solution, for the `neighbour` attack."""


@dataclass(frozen=True)
class Example:
    """One problem with a worked reference solution."""

    id: str
    """Hash of the question: the same row has the same id in every run."""
    question: str
    solution: str
    """Reference rationale with its final answer, as trained on and scored."""
    answer: str
    """The final value only."""
    kind: str = "math"
    """How answers are graded: a name in `overmem.grading.GRADERS` or "module:function"; `none` if there is no answer,
    and `answer` is empty."""
    group: str = ""
    """Examples of the same non-empty group (rephrasings of one problem, for instance) are in the same split."""
    context: str = ""
    """The rest of a conversation, as JSON: its turns `before` the question (a system turn, earlier ones) and `after` it
    (tool calls and their results), and the `tools`; empty if there is none."""


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights of a run. `step` 0 is the base model."""

    name: str
    """Folder name (`checkpoint-50`, `merged-linear-10-50`), or `base`."""
    step: int
    epoch: float | None = None
    cumulative_lr: float | None = None
    """Sum of the learning rates of all optimizer steps so far."""
    merged_from: tuple[str, ...] = ()
    """Names of the merged checkpoints; empty for a trained checkpoint."""


@dataclass(frozen=True)
class Scores:
    """Teacher-forced statistics of the solutions of one split; the tokens of all examples are concatenated."""

    example_ids: tuple[str, ...]
    offsets: Int[np.ndarray, " examples_plus_1"]
    """Tokens of example i are [offsets[i], offsets[i+1])."""
    token_id: Int[np.ndarray, " tokens"]
    logprob: Float[np.ndarray, " tokens"]
    entropy: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]
    top1_logprob: Float[np.ndarray, " tokens"]
    mean_logprob: Float[np.ndarray, " tokens"]
    """Mean of log p under p (minus the entropy; for Min-K%++)."""
    std_logprob: Float[np.ndarray, " tokens"]
    """Standard deviation of log p under p."""
    tempered_nll: Float[np.ndarray, "examples temperatures"]
    """Summed solution nll at each of TEMPERATURES."""
    truncated: int = 0
    """Examples left out because they do not fit the context window."""

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Scores({len(self.example_ids)} examples, {len(self.token_id)} tokens)"

    @cached_property
    def token_counts(self) -> Int[np.ndarray, " examples"]:
        """Solution tokens of each example."""
        return np.diff(self.offsets)

    @cached_property
    def nll_sums(self) -> Float[np.ndarray, " examples"]:
        """Summed solution nll of each example, in nats, in float64."""
        row = np.repeat(np.arange(len(self.example_ids)), self.token_counts)
        sums = np.bincount(row, weights=-self.logprob.astype(np.float64), minlength=len(self.example_ids))
        return sums.astype(np.float64)  # without tokens, bincount returns integers


@dataclass(frozen=True)
class Completions:
    """Sampled completions of one split, not yet graded: one row per completion."""

    example_ids: tuple[str, ...]
    draw: Int[np.ndarray, " completions"]
    """0 is the greedy completion; 1, 2, ... are sampled at `temperature`."""
    temperature: Float[np.ndarray, " completions"]
    text: tuple[str, ...]
    token_count: Int[np.ndarray, " completions"]
    logprob: Float[np.ndarray, " completions"]
    """Summed log probability of the completion's tokens at temperature 1."""
    stop: tuple[str, ...]
    """Why it ended: `eos`, or `length` for the length limit."""

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Completions({len(self.text)} of {len(set(self.example_ids))} examples)"


@dataclass(frozen=True)
class Grades:
    """A grader's result for the completions of one split: one row per completion, in the order of the completions."""

    example_ids: tuple[str, ...]
    draw: Int[np.ndarray, " completions"]
    answer: tuple[str, ...]
    """The answer in the text; empty if there is none."""
    correct: Bool[np.ndarray, " completions"]
    note: tuple[str, ...]
    """Why a completion could not be graded as usual (a program timed out, for instance); usually empty."""


@dataclass(frozen=True)
class Samples(Completions):
    """Graded completions of one split, as probes read them."""

    answer: tuple[str, ...]
    """The answer in the text; empty if there is none."""
    correct: Bool[np.ndarray, " completions"]

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Samples({len(self.text)} of {len(set(self.example_ids))} examples, {int(self.correct.sum())} correct)"

    @property
    def grades(self) -> Grades:
        """The grades only."""
        return Grades(self.example_ids, self.draw, self.answer, self.correct, ("",) * len(self.answer))


@dataclass(frozen=True)
class Snapshot:
    """All observations of one checkpoint: the input of a probe."""

    checkpoint: Checkpoint
    examples: Mapping[str, tuple[Example, ...]]
    scores: Mapping[str, Scores]
    samples: Mapping[str, Samples]
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(split, kind) -> why this unit of work is missing."""


@dataclass(frozen=True)
class Curves:
    """Per-example results of one split at the checkpoints of a run, in time order: the input of the regime rule.

    Examples are the same, in the same order, at every checkpoint, so every comparison is paired.
    """

    checkpoints: tuple[Checkpoint, ...]
    nll_sums: Float[np.ndarray, "checkpoints examples"]
    """Summed solution nll; NaN where it was not measured."""
    token_counts: Int[np.ndarray, " examples"]
    correct: Float[np.ndarray, "checkpoints examples"]
    """Greedy correctness 0 or 1 (or the mean over draws); NaN where it was not measured."""
    groups: Int[np.ndarray, " examples"] | None = None
    """Index of each example's question, if some are rephrasings of the same; None if all questions differ."""
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(checkpoint, `scores` or `samples`) -> why this unit is missing and all NaN."""
    example_ids: tuple[str, ...] = ()
    """Id of each example, for pairing two runs; otherwise empty."""

    def groups_of(self, examples: slice | Sequence[int] | np.ndarray | np.bool) -> Int[np.ndarray, " kept"] | None:
        """The groups of some of the examples, by index or by mask; None if all questions differ."""
        return None if self.groups is None else self.groups[examples]

    @property
    def without_merged(self) -> "Curves":
        """The base and the trained checkpoints, with the examples that at least one of them was scored on.

        If nothing was scored (imported answers), the examples that at least one of them answered.
        """
        rows = np.flatnonzero([not c.merged_from for c in self.checkpoints])
        kept = np.isfinite(self.nll_sums[rows]).any(0)
        if not kept.any():
            kept = np.isfinite(self.correct[rows]).any(0)
        if len(rows) == len(self.checkpoints) and kept.all():
            return self
        cells = np.ix_(rows, np.flatnonzero(kept))
        names = {self.checkpoints[i].name for i in rows}
        return Curves(
            tuple(self.checkpoints[i] for i in rows),
            self.nll_sums[cells],
            self.token_counts[kept],
            self.correct[cells],
            self.groups_of(kept),
            {unit: note for unit, note in self.notes.items() if unit[0] in names},
            tuple(self.example_ids[i] for i in np.flatnonzero(kept)) if self.example_ids else (),
        )

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Curves({len(self.checkpoints)} checkpoints, {len(self.token_counts)} examples)"
