"""The `data:` section of a recipe or an audit, and records of loaded data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from overmem.records import Example
from overmem.tables import NamedIn

GENERATED_NAMES = ("wordproblems", "one-step-back", "working-backwards")
"""The tasks that ship with the package, in `overmem.tasks.GENERATED`."""


@dataclass(frozen=True)
class Data:
    """The `data:` section of a recipe: the source of the problems, and how they are split."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: Annotated[str, NamedIn("overmem.tasks.presets:PRESETS", others=GENERATED_NAMES)] = "wordproblems"
    """`wordproblems`, `one-step-back` or `working-backwards` (generated, offline), or a preset; a .jsonl, .json, .csv
    or .parquet file or a folder of such files; a Hugging Face hub id (`hub:org/name` or `org/name`);
    `reasoning-gym:NAME`; `module:function`."""
    subset: str = ""
    """Configuration of a hub data set (`main` for GSM8K)."""
    split: str = ""
    """Split of a hub data set that holds the training rows; its `train`, or its only one, if empty."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The columns of `question`, `solution`, `answer` and `group`: a name, `outer.inner` for a nested one, or a
    template of several columns such as '{Body} {Question}'. Omitted fields are guessed from the usual names."""
    test_source: str = ""
    """Where the test rows come from: a file, a hub id, or the name of a split of the same hub data set. If empty, the
    source's test rows if it has some, else a share of all rows."""
    ood: Mapping[str, "Data"] = field(default_factory=dict)
    """Out-of-distribution sets by name: each becomes the split `ood-<name>` (its test rows if it has some, else all;
    its `test` limits how many)."""
    shifted: Mapping[str, "Data"] = field(default_factory=dict)
    """Rephrased test questions, by name (paraphrases, GSM-Plus): each set becomes the split `test+<name>`. The `group`
    field of its rows names the original: its question, or its value of `group` here."""
    kind: Annotated[str, NamedIn("overmem.grading:GRADERS", others=("auto", "none"))] = "auto"
    """How answers are graded: `code` by its tests, only with --run-code. `auto` decides by the rows: code if they have
    tests, choice for letters, math for numbers. `none`: solutions have no answer, so they are scored (perplexity,
    membership, memorization) but no completions are sampled."""
    answer_after: str = "####"
    """The mark before the answer in a solution, for data without an answer column. A boxed answer and 'the answer is'
    are recognized too."""
    replies: Literal["auto", "last", "each"] = "auto"
    """Which replies of a conversation are scored, each after all earlier turns: the last one (LLaMA-Factory's
    mask_history) or each (TRL's assistant_only_loss, LLaMA-Factory's default). `auto` follows the trainer's arguments
    in the run's folder, else the last one."""
    strip_calculations: bool = False
    """Remove GSM8K's calculator annotations (`<<48/2=24>>`) from the solutions."""
    drop_broken: bool = False
    """Leave out broken rows and count them. Otherwise the first broken row is an error."""
    near_duplicates: float = 0.8
    """Jaccard similarity of word 3-shingles from which two questions count as the same problem and stay in one split; 1
    means identical questions only."""
    train: int | None = None
    """Training rows; null for all remaining ones (400 for a generated source)."""
    val: int | None = None
    """Rows for selection; null for a tenth (500 for the built-in tasks, 200 for reasoning-gym)."""
    test: int | None = None
    """Rows for confirmation; null for all separate test rows, or else a tenth (500 for the built-in tasks, 200 for
    reasoning-gym)."""
    seed: int = 0
    """Seed of the split and of generated problems."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of a built-in task (`ood`: the rows of each of its ood sets), of a reasoning-gym generator or
    of `module:function`."""


@dataclass(frozen=True)
class Row:
    """One row of a source, unchanged."""

    where: str
    """The file or the hub split."""
    number: int
    """Starts at 1; in JSON lines the line number."""
    values: Mapping[str, Any]


Rows: TypeAlias = list[Row] | list[Example]


@dataclass(frozen=True)
class SourceResult:
    """The rows of a source: `train`, and `val`, `test` and `ood-<name>` if it has separate ones."""

    parts: Mapping[str, Rows]
    notes: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """The columns of question, solution, answer and group, if the source knows them."""
    separate: bool = False
    """Whether the source itself guarantees that no two of its splits share a problem."""


@dataclass(frozen=True)
class LoadedData:
    """Examples by split, and notes on how they were made."""

    splits: Mapping[str, tuple[Example, ...]]
    """`train`, `val`, `test`, every `ood-<name>` and `test+<name>`; an empty one is an empty tuple and a note."""
    notes: tuple[str, ...] = ()
    """What was dropped or added, with counts, each a sentence."""
    carved_splits: tuple[str, ...] = ()
    """`val` and `test`, if the source has no separate rows for them and they were taken from its training rows."""
    verbatim: bool = False
    """Whether the training rows are plain prompts and completions, which trainers concatenate without a template."""
    appended: int = 0
    """Training solutions that had `#### <answer>` appended."""
