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
    """Examples of val and of test, at most: they decide. By default as many as the run's callback, or its last audit of
    the same data, took; else 500."""
    side_rows: int | None = None
    """Examples of train and of every ood split, at most; by default as `rows`, else 200."""
    budget: str | None = None
    """Time that observing may take: 90s, 30m, 2h, 1h30m. The examples of every split are then as many as fit, no more
    than `rows` and `side_rows`; the same command again keeps to those that were chosen."""
    until: Literal["decided"] | None = None
    """Ask the questions of val portion by portion, in an order drawn beforehand, and stop when the end of the run is
    decided; `rows` are asked at most. Every look counts for the error rate. Checkpoints that are out of the race are
    asked no more, and test takes as many questions as val did."""
    shifts: Annotated[tuple[str, ...], NamedIn("overmem.shifts:SHIFTS")] = ()
    """Shifts that rephrase the test questions, for robustness; `side_rows` each. `preamble:3` is three wordings of each
    question. By default those of the last audit of the same data."""
    attacks: tuple[str, ...] = ()
    """Membership attacks that need more than the scores of the solutions: recall, neighbour. The others are always
    run. By default those of the last audit of the same data."""
    probes: Annotated[tuple[str, ...], NamedIn("overmem.probes:PROBES", always=True)] = ()
    """Probes of your own, in addition to the built-in ones. By default those of the last audit of the same data."""
    checkpoints: tuple[str, ...] = ()
    """Only these checkpoints: folder names, or `base`; by default all."""
    splits: tuple[str, ...] = ()
    """Only these splits; by default train, val, test, every ood set and every shift."""
    draws: int | None = None
    """Sampled completions per prompt at each temperature, beside the greedy one; by default as `rows`, else none."""
    temperature: tuple[float, ...] = ()
    """Temperatures of the draws, one or several; by default as `rows`, else 0.7."""
    max_new_tokens: int | None = None
    """Longest completion; by default as `rows`, else half as long again as the longest reference solution, but at least
    16 and at most 1024 tokens."""
    template: str | None = None
    """Prompt with {question} in it; by default as `rows`, or the recipe's, else the chat template, else
    "Question: ...\\nAnswer:"."""
    tokenizer: str | None = None
    """Folder or hub id; by default the run's."""
    engine: Annotated[str, NamedIn("overmem.observe.engines:ENGINES", own="module:Class")] = "hf"
    """What completes prompts. Solutions are always scored by hf."""
    run_code: bool = False
    """Run the programs that completions of `kind: code` give, against their tests, in a sandbox (`overmem[code]`)."""
    token_budget: int = 16384
    """Padded tokens in one batch, prompt and completion: what bounds the memory."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; auto is as `rows`, else bfloat16 on a GPU and float32 elsewhere."""
    seed: int = 0
    """Fixes the draws."""
    workers: int = 1
    """Processes that observe: of this machine, one a GPU or sharing the cores; with --executor, actors or tasks."""
    executor: Annotated[str, NamedIn("overmem.audit.executors:EXECUTORS")] = "local"
    """Where the workers run: as processes here, as actors of a Ray cluster (one is started here if there is none), or
    as an array of Slurm tasks. All of them must see the run directory under the same path."""
    slurm: tuple[str, ...] = ()
    """With --executor slurm: options of sbatch, such as partition=gpu gres=gpu:1 time=4:00:00."""
    out: str | None = None
    """Where overmem's files go; by default RUN/overmem."""
