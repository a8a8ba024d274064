"""Whether the audit reads the evaluation rows as the trainer did: its own nll against the logged evaluation loss."""

from math import isfinite, sqrt

import numpy as np

from overmem import statistics, store
from overmem.errors import BadRequest
from overmem.records import Curves
from overmem.store.logs import Logged, read_logged
from overmem.store.logs.rows import clean

STDERRS = 4.0
"""Standard errors of the difference of two samples of this size, beyond which it is no noise."""
TOLERANCE = 0.05
"""Relative difference that the mean over batches, another precision and padding may make."""


def prompt_warnings(run: store.Run, val: Curves, split: str) -> tuple[str, ...]:
    """A warning where the audit's nll and the trainer's differ beyond noise at most of their common steps, else none.

    Nothing is compared where the trainer logged no evaluation, or one whose loss is known not to be nll.
    """
    try:
        logged = read_logged(run.root)
    except BadRequest:
        return ()
    if any(words in w for w in logged.warnings for words in ("is not nll", "no nll", "plain nll")):
        return ()
    pairs = _pairs(val, logged)
    differing = [p for p in pairs if abs(p[1] - p[2]) > STDERRS * sqrt(2) * p[3] + TOLERANCE * p[2]]
    if not pairs or 2 * len(differing) <= len(pairs):
        return ()
    name, own, theirs, _, n = max(differing, key=lambda p: abs(p[1] - p[2]))
    return (
        f"At {name} this audit measures {own:.3f} nats per token on {split} (n = {n:,}), where the trainer logged an "
        f"evaluation loss of {theirs:.3f}. If these are the trainer's evaluation rows, the model is not read as it was "
        "trained: check the template, the tokenizer, and which tokens are masked (a trainer that also counts the "
        f"prompt's tokens logs another loss).{_example(run, split)}",
    )


def _pairs(val: Curves, logged: Logged) -> list[tuple[str, float, float, float, int]]:
    """Checkpoint, the audit's nll, the trainer's, the standard error of the audit's, and its n."""
    theirs = {c.step: float(x) for c, x in zip(logged.checkpoints, logged.nll, strict=True) if isfinite(x)}
    pairs = []
    for i, checkpoint in enumerate(val.checkpoints):
        rows = np.isfinite(val.nll_sums[i])
        if checkpoint.step not in theirs or checkpoint.merged_from or rows.sum() < 2:
            continue
        own = statistics.ratio(val.nll_sums[i, rows], val.token_counts[rows].astype(np.float64))
        if own.value is not None and own.low is not None and own.high is not None:
            stderr = (own.high - own.low) / 3.92
            pairs.append((checkpoint.name, own.value, theirs[checkpoint.step], stderr, int(rows.sum())))
    return pairs


def _example(run: store.Run, split: str) -> str:
    """One example as the model read it, shortened."""
    try:
        example = store.read_examples(run, split)[0]
    except (BadRequest, IndexError):
        return ""
    template = store.read_plan(run).template
    prompt = template.replace("{question}", example.question) if isinstance(template, str) else example.question
    how = "" if isinstance(template, str) else " (in the tokenizer's own template)"
    start = clean(example.solution[:60])
    return f" One example as the model read it{how}: {clean(prompt[-100:])!r} followed by {start!r}."
