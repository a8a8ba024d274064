"""The options of `overmem import` and `overmem export`. They load nothing heavy."""

from dataclasses import dataclass

HARNESSES = ("lm-eval", "inspect", "lighteval", "evalplus")


@dataclass(frozen=True)
class ImportLogs:
    """Whose logs to import, and into which run."""

    harness: str
    """lm-eval (samples_*.jsonl of --log_samples), inspect (.eval, .json), lighteval (details_*.parquet) or evalplus
    (*eval_results.json)."""
    logs: tuple[str, ...]
    """One file or folder per checkpoint: results/step-*/ as the shell expands it."""
    run: str = "."
    """Run directory that the evaluations are of; one that is not there is made, without checkpoints."""
    checkpoints: tuple[str, ...] = ()
    """Names of the checkpoints, one per log in their order, `base` for the base model; by default by the number in the
    log's name, else by the one in the model's path."""
    task: tuple[str, ...] = ()
    """Tasks to import, where a log has several; their results on one document are joined (answers and likelihoods)."""
    split: str = "test"
    """Split that the questions are: val to judge and choose on, test to confirm on, ood-<name>."""
    metric: str = ""
    """The harness's metric that says whether an answer is right: exact_match,flexible-extract (lm-eval: metric and
    filter), a scorer's name (inspect), ...; by default the first usual one."""
    grader: str = "log"
    """log keeps the harness's own grades; math, choice or exact grades the completions anew by overmem's."""
    tokenizer: str | None = None
    """Folder or hub id, to count the tokens behind a summed likelihood; by default the run's, else the model's."""
    out: str | None = None
    """Where overmem's files go; by default RUN/overmem."""


@dataclass(frozen=True)
class ExportLogs:
    """What to export of an audited run, and where to."""

    run: str
    """Run directory that was audited."""
    output: str = "logs"
    """Folder for the logs: one `.eval` per checkpoint and split, as `inspect view` reads them."""
    checkpoints: tuple[str, ...] = ()
    """Only these checkpoints; by default all."""
    splits: tuple[str, ...] = ()
    """Only these splits; by default all that have completions."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""
