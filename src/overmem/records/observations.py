"""The nouns: frozen records that every floor above speaks in. Plain Python and NumPy.

Log probabilities are natural (<= 0); nll is in nats per token (>= 0); fractions are never percent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

SCHEMA = 2
"""Version of every file that overmem writes."""

READABLE_SCHEMAS = (1, 2)
"""Versions that overmem reads; the older ones are converted while they are read. Any other version is refused."""

TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.45, 1.75, 2.1, 2.6, 3.2)
"""The grid at which solution nll is also scored (temperature recovery, scale share)."""

NEIGHBOUR_MARK = "~"
"""Joins an example's id and the number of a changed copy of its solution, as the `neighbour` attack scores them."""


@dataclass(frozen=True)
class Example:
    """One problem with a worked reference solution."""

    id: str
    """Hash of the question's content: the same row has the same id in every run."""
    question: str
    solution: str
    """Reference rationale with its final answer, as it is trained on and scored."""
    answer: str
    """The final value alone."""
    kind: str = "math"
    """How answers are graded: a name in `overmem.grading.GRADERS` or "module:function"; `none` where there is no
    answer, and `answer` is empty."""
    group: str = ""
    """Examples of one non-empty group (rephrasings of one problem, say) never lie in two splits."""
    context: str = ""
    """The rest of a conversation, as JSON: its turns `before` the question (a system turn, earlier ones) and `after` it
    (calls of tools and their results), and the `tools`; empty where there is none."""


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights of a run. `step` 0 is the base model."""

    name: str
    """Folder name (`checkpoint-50`, `merged-linear-10-50`), or `base`."""
    step: int
    epoch: float | None = None
    cumulative_lr: float | None = None
    """Sum of the learning rates of all optimizer steps up to this one."""
    merged_from: tuple[str, ...] = ()
    """Names of the checkpoints that a merged one was made of; empty for a trained one."""


@dataclass(frozen=True)
class Scores:
    """What teacher forcing says of the reference solutions of one split: one row an example, tokens laid end to end."""

    example_ids: tuple[str, ...]
    offsets: Int[np.ndarray, " examples_plus_1"]
    """Tokens of example i are [offsets[i], offsets[i+1])."""
    token_id: Int[np.ndarray, " tokens"]
    logprob: Float[np.ndarray, " tokens"]
    entropy: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]
    top1_logprob: Float[np.ndarray, " tokens"]
    mean_logprob: Float[np.ndarray, " tokens"]
    """Mean of log p under p (that is, minus the entropy of p, kept for Min-K%++)."""
    std_logprob: Float[np.ndarray, " tokens"]
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
        return sums.astype(np.float64)  # of no tokens at all, bincount makes integers


@dataclass(frozen=True)
class Completions:
    """Sampled completions of one split, not yet graded: one row per completion."""

    example_ids: tuple[str, ...]
    draw: Int[np.ndarray, " completions"]
    """0 is the greedy completion, 1.. are the draws at `temperature`."""
    temperature: Float[np.ndarray, " completions"]
    text: tuple[str, ...]
    token_count: Int[np.ndarray, " completions"]
    logprob: Float[np.ndarray, " completions"]
    """Summed log probability of the completion's tokens at temperature 1."""
    stop: tuple[str, ...]
    """`eos`, or `length`: it ran into the limit."""

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Completions({len(self.text)} of {len(set(self.example_ids))} examples)"


@dataclass(frozen=True)
class Grades:
    """A grader's result for the completions of one split: one row per completion, in the order of the completions."""

    example_ids: tuple[str, ...]
    draw: Int[np.ndarray, " completions"]
    answer: tuple[str, ...]
    """The answer read from the text; empty if there is none."""
    correct: Bool[np.ndarray, " completions"]
    note: tuple[str, ...]
    """Why a completion could not be graded as usual (a program that timed out, say); usually empty."""


@dataclass(frozen=True)
class Samples(Completions):
    """Graded completions of one split: what probes read."""

    answer: tuple[str, ...]
    """The answer read from the text; empty if there is none."""
    correct: Bool[np.ndarray, " completions"]

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Samples({len(self.text)} of {len(set(self.example_ids))} examples, {int(self.correct.sum())} correct)"

    @property
    def grades(self) -> Grades:
        """The grades alone."""
        return Grades(self.example_ids, self.draw, self.answer, self.correct, ("",) * len(self.answer))


@dataclass(frozen=True)
class Snapshot:
    """One checkpoint's observations: what a probe sees."""

    checkpoint: Checkpoint
    examples: Mapping[str, tuple[Example, ...]]
    scores: Mapping[str, Scores]
    samples: Mapping[str, Samples]
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(split, kind) -> why that unit of work has no observations."""


@dataclass(frozen=True)
class Curves:
    """Per-example results on the checkpoints of one run, in time order, on one split: what the regime rule sees.

    The same examples, in the same order, at every checkpoint, so that every comparison is paired.
    """

    checkpoints: tuple[Checkpoint, ...]
    nll_sums: Float[np.ndarray, "checkpoints examples"]
    """Summed solution nll; NaN where it was not measured."""
    token_counts: Int[np.ndarray, " examples"]
    correct: Float[np.ndarray, "checkpoints examples"]
    """Greedy correctness 0 or 1 (or the mean over draws); NaN where it was not measured."""
    tempered_nll: Float[np.ndarray, "checkpoints examples temperatures"] | None = None
    agree_nll_sums: Float[np.ndarray, "checkpoints examples"] | None = None
    """The part of nll_sums on tokens where the label is the argmax."""
    groups: Int[np.ndarray, " examples"] | None = None
    """Number of the question that each example belongs to, where several are rephrasings of one; None: all differ."""
    notes: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(checkpoint, `scores` or `samples`) -> why that unit is missing, for units that are NaN as a whole."""
    example_ids: tuple[str, ...] = ()
    """Id of each example, where two runs are to be paired; empty where nobody needs them."""

    @property
    def without_merged(self) -> "Curves":
        """The base and the trained checkpoints alone, on the examples that one of them was scored on.

        Where none was scored on any (imported answers), on those that one of them answered.
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
            None if self.tempered_nll is None else self.tempered_nll[cells],
            None if self.agree_nll_sums is None else self.agree_nll_sums[cells],
            None if self.groups is None else self.groups[kept],
            {unit: note for unit, note in self.notes.items() if unit[0] in names},
            tuple(self.example_ids[i] for i in np.flatnonzero(kept)) if self.example_ids else (),
        )

    def __repr__(self) -> str:
        """Counts instead of arrays."""
        return f"Curves({len(self.checkpoints)} checkpoints, {len(self.token_counts)} examples)"
