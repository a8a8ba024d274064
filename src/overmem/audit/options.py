"""The options of `overmem audit`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from overmem.tables import NamedIn


@dataclass(frozen=True)
class Audit:
    """What to audit, and how thoroughly."""

    run: str
    """Run directory: checkpoint-<step> folders as transformers, TRL or overmem write them."""
    data: str | None = None
    """Where the examples come from: a task name, a file, a hub id, or a YAML file with the keys of a recipe's `data`.
    By default the recipe's, else what the run's callback or its last audit took."""
    base: str | None = None
    """Base model, for step 0 and for adapters; by default the recipe's, the callback's or the adapter's own."""
    rows: int | None = None
    """Number of examples of val and of test, at most; the verdict is on these. By default the number that the run's
    callback, or its last audit of the same data, used; else 500."""
    side_rows: int | None = None
    """Number of examples of train and of every ood split, at most; by default like `rows`, else 200."""
    budget: str | None = None
    """Time that observing may take: 90s, 30m, 2h, 1h30m. Every split then has as many examples as fit, at most `rows`
    and `side_rows`; the same command uses the same number again."""
    until: Literal["decided"] | None = None
    """Observe the questions of val portion by portion, in a fixed random order, and stop when the regime at the end of
    the run is decided, after `rows` questions at most. Every look counts in the error rate. Checkpoints that can no
    longer be the best are dropped, and test has as many questions as val then has."""
    shifts: Annotated[tuple[str, ...], NamedIn("overmem.shifts:SHIFTS")] = ()
    """Shifts that perturb the test questions, for robustness; `side_rows` each. `preamble:3` is three wordings of each
    question. By default those of the last audit of the same data."""
    attacks: tuple[str, ...] = ()
    """Membership attacks that need additional scores: recall, neighbour. The others are always run. By default those
    of the last audit of the same data."""
    probes: Annotated[tuple[str, ...], NamedIn("overmem.probes:PROBES", always=True)] = ()
    """Probes of your own, in addition to the built-in ones. By default those of the last audit of the same data."""
    checkpoints: tuple[str, ...] = ()
    """Only these checkpoints: folder names, or `base`; by default all."""
    splits: tuple[str, ...] = ()
    """Only these splits; by default train, val, test, every ood set and every shift."""
    draws: int | None = None
    """Number of sampled completions per prompt at each temperature, in addition to the greedy one; by default like
    `rows`, else none."""
    temperature: tuple[float, ...] = ()
    """Temperatures of the sampled completions; by default like `rows`, else 0.7."""
    max_new_tokens: int | None = None
    """Length limit of a completion, in tokens; by default like `rows`, else 1.5 times the longest reference solution,
    but at least 16 and at most 1024."""
    template: str | None = None
    """Prompt with {question} in it; by default like `rows`, or the recipe's, else the chat template, else
    "Question: ...\\nAnswer:"."""
    tokenizer: str | None = None
    """Folder or hub id; by default the run's."""
    engine: Annotated[str, NamedIn("overmem.observe.engines:ENGINES", own="module:Class")] = "hf"
    """Engine that generates the completions. Solutions are always scored by hf."""
    run_code: bool = False
    """Run the programs in completions of `kind: code` against their tests, in a sandbox (`overmem[code]`)."""
    token_budget: int = 16384
    """Number of padded tokens in one batch, prompts and completions together; it limits the memory."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto is like `rows`, else bfloat16 on a GPU and float32 elsewhere."""
    seed: int = 0
    """Seed of the sampled completions."""
    workers: int = 1
    """Number of workers that observe: processes on this machine, one per GPU or sharing the cores; with --executor,
    actors or tasks."""
    executor: Annotated[str, NamedIn("overmem.audit.executors:EXECUTORS")] = "local"
    """Where the workers run: as processes on this machine, as actors of a Ray cluster (started here if there is none),
    or as a Slurm job array. All of them must see the run directory under the same path."""
    slurm: tuple[str, ...] = ()
    """With --executor slurm: options for sbatch, such as partition=gpu gres=gpu:1 time=4:00:00."""
    out: str | None = None
    """Where overmem's files go; by default RUN/overmem."""
