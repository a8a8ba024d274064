"""Audits with something to warn about: the warnings are in `expected.txt`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from overmem.records import Checkpoint, Limits, Measurement
from overmem.records.plan import Stopping
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence
from overmem.wording.caveats import AuditContext, caveats
from studies.trajectories import World, simulated

VAL, TEST = simulated(World("flat", 400, checkpoints=6), "caveats", splits=2)
CUT_OFF = Measurement("checkpoint-200", 200, "val", "accuracy", "cut_off", 0.12, 0.01, 0.09, 0.15, 400, "")


def warnings_of(evidence=None, limits=None, **context):
    """The warnings, without the one that no training rows were scored."""
    assessment = assess(evidence or Evidence(val=VAL, test=TEST), limits or Limits())
    return [w for w in caveats(assessment, AuditContext(**context)) if "no training rows were scored" not in w]


def without_answers():
    return Evidence(val=replace(VAL, correct=np.full_like(VAL.correct, np.nan)), test=TEST)


def rising():
    val, test = simulated(World(n=400, checkpoints=6), "caveats", splits=2)
    return Evidence(val=val, test=test)


def like_the_base():
    right = (np.arange(400) < 0.8 * 400).astype(float)
    val, test = (
        replace(
            curves,
            checkpoints=(Checkpoint("base", 0), *curves.checkpoints),
            nll_sums=np.vstack([curves.nll_sums[0] * 1.5, curves.nll_sums]),
            correct=np.vstack([right, curves.correct]),
        )
        for curves in (VAL, TEST)
    )
    return Evidence(val=val, test=test)


WARNINGS: Mapping[str, Callable[[], list[str]]] = {
    "splits carved out of training rows": lambda: warnings_of(carved_splits=("val", "test")),
    "one split carved out of training rows": lambda: warnings_of(carved_splits=("test",)),
    "truncated answers": lambda: warnings_of(truncated=(CUT_OFF,)),
    "truncated answers with a limit": lambda: warnings_of(truncated=(CUT_OFF,), max_new_tokens=64),
    "no test split": lambda: warnings_of(Evidence(val=VAL)),
    "no val split": lambda: warnings_of(selected_on="test"),
    "deleted checkpoints": lambda: warnings_of(not_on_disk=("checkpoint-50", "checkpoint-100")),
    "no answers": lambda: warnings_of(without_answers()),
    "limit larger than half the nll, costly": lambda: warnings_of(rising(), Limits(d_nll=0.3)),
    "limit larger than half the nll": lambda: warnings_of(limits=Limits(d_nll=0.3)),
    "not shown to be better than the base": lambda: warnings_of(like_the_base()),
    "stopped when decided": lambda: warnings_of(
        stopping=Stopping(400, 200, 3, "healthy", {"checkpoint-100": 100}, 0.05)
    ),
    "stopped undecided": lambda: warnings_of(stopping=Stopping(400, 400, 1, "undecided", {}, 0.05)),
}
