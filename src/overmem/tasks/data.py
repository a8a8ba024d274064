"""What a recipe or an audit asks of a data set, and what it gets: plain records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypeAlias

from overmem.records import Example
from overmem.tables import NamedIn


@dataclass(frozen=True)
class Data:
    """The recipe's `data:` section: which problems, and how they are split."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    source: Annotated[str, NamedIn("overmem.tasks.presets:PRESETS", others=("wordproblems",))] = "wordproblems"
    """`wordproblems`, or a well-known data set by its name; a .jsonl, .json, .csv or .parquet file or a folder of such;
    a Hugging Face hub id (`hub:org/name` or `org/name`); `reasoning-gym:NAME`; `module:function`."""
    subset: str = ""
    """Configuration of a hub data set (`main` for GSM8K)."""
    split: str = ""
    """Split of a hub data set that holds the training rows; its `train`, or its only one, if empty."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The column of `question`, `solution`, `answer` and `group`: its name, `outer.inner` for a nested one, or a
    template of several columns such as '{Body} {Question}'. Fields left out are guessed from the usual names."""
    test_source: str = ""
    """Where the test rows come from: a file, a hub id, or the name of a split of the same hub data set. If empty, the
    source's own test rows where it has some, else a share of all rows."""
    ood: Mapping[str, "Data"] = field(default_factory=dict)
    """Out-of-distribution sets by name: each becomes the split `ood-<name>` (its test rows if it has some, else all;
    `test` says how many)."""
    shifted: Mapping[str, "Data"] = field(default_factory=dict)
    """Rephrased test questions, by name (paraphrases, GSM-Plus): each set becomes the split `test+<name>`. The `group`
    field of its rows names the original: its question, or its value of `group` here."""
    kind: Annotated[str, NamedIn("overmem.grading:GRADERS", others=("auto", "none"))] = "auto"
    """How answers are graded: `code` by its tests, with --run-code only. `auto` looks at the rows: tests are code,
    letters a choice, numbers mathematics. `none`: solutions have no answer, so they are scored (perplexity, membership,
    memorization) and nothing is completed."""
    answer_after: str = "####"
    """The mark before the answer in a solution, where no column gives the answer. A boxed answer and 'the answer is'
    are recognized too."""
    strip_calculations: bool = False
    """Whether GSM8K's calculator annotations (`<<48/2=24>>`) are taken out of the solutions."""
    drop_broken: bool = False
    """Leave broken rows out and count them. Otherwise the first one is an error."""
    near_duplicates: float = 0.8
    """Jaccard similarity of word 3-shingles from which two questions are the same problem and stay in one split; 1 is
    identical questions only."""
    train: int | None = None
    """Training rows; null for all remaining ones (400 of a generated source)."""
    val: int | None = None
    """Rows to select on; a tenth if null (500 of wordproblems, 200 of reasoning-gym)."""
    test: int | None = None
    """Rows to confirm on; if null all where they come separately, else a tenth (500 of wordproblems, 200 of
    reasoning-gym)."""
    seed: int = 0
    """Seed of the split and of generated problems."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments for wordproblems (`ood`, the rows of each of its ood sets), a reasoning-gym generator or
    `module:function`."""


@dataclass(frozen=True)
class Row:
    """One row as its source gives it."""

    where: str
    """The file or the hub split."""
    number: int
    """1 is the first (in JSON lines: the line)."""
    values: Mapping[str, Any]


Rows: TypeAlias = list[Row] | list[Example]


@dataclass(frozen=True)
class SourceResult:
    """The rows of a source: `train`, and `val`, `test` and `ood-<name>` where it has them separately."""

    parts: Mapping[str, Rows]
    notes: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """The columns of question, solution, answer and group, where the source knows them."""
    separate: bool = False
    """Whether the source itself guarantees that no two of its splits share a problem."""


@dataclass(frozen=True)
class LoadedData:
    """Examples by split, and how they were made."""

    splits: Mapping[str, tuple[Example, ...]]
    """`train`, `val`, `test`, every `ood-<name>` and `test+<name>`; an empty one is an empty tuple and a note."""
    notes: tuple[str, ...] = ()
    """What was dropped or added, with counts, each a sentence."""
    carved_splits: tuple[str, ...] = ()
    """`val` and `test` where the source has no rows for them, so that they were taken from its training rows."""
    verbatim: bool = False
    """Whether the training rows are plain prompts and completions, which trainers concatenate without a template."""
    appended: int = 0
    """Training solutions that got `#### <answer>` appended."""
