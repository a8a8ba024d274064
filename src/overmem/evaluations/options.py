"""The options of `overmem import` and `overmem export`."""

from dataclasses import dataclass

HARNESSES = ("lm-eval", "inspect", "lighteval", "evalplus")


@dataclass(frozen=True)
class ImportLogs:
    """Which harness's logs to import, and into which run."""

    harness: str
    """lm-eval (samples_*.jsonl of --log_samples), inspect (.eval, .json), lighteval (details_*.parquet) or evalplus
    (*eval_results.json)."""
    logs: tuple[str, ...]
    """One file or folder per checkpoint: results/step-*/ as the shell expands it."""
    run: str = "."
    """Run directory of the evaluated checkpoints; created, without checkpoints, if it does not exist."""
    checkpoints: tuple[str, ...] = ()
    """Names of the checkpoints, one per log in the same order, `base` for the base model; by default from the number in
    the log's name, else from the one in the model's path."""
    task: tuple[str, ...] = ()
    """Tasks to import, if a log has several; their results on the same document are joined (answers and
    likelihoods)."""
    split: str = "test"
    """Split of the run that the questions become: val to judge and choose on, test to confirm on, ood-<name>."""
    metric: str = ""
    """The harness's metric that decides whether an answer is right: exact_match,flexible-extract (lm-eval: metric and
    filter), a scorer's name (inspect), ...; by default the first of the usual ones."""
    grader: str = "log"
    """log keeps the harness's own grades; math, choice or exact grades the completions again by that grader of
    overmem."""
    tokenizer: str | None = None
    """Folder or hub id of the tokenizer that counts the tokens of a summed likelihood; by default that of the run, else
    of the model."""
    out: str | None = None
    """Where overmem's files go; by default RUN/overmem."""


@dataclass(frozen=True)
class ExportLogs:
    """What to export from an audited run, and where to."""

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
