"""The last checkpoint of a logged run, also where its loss is not a number."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from overmem.records import Choice, Estimate
from overmem.verdict.evidence import Evidence, LoggedCurve


def with_last(choices: Sequence[Choice], recommended: Choice | None, evidence: Evidence) -> tuple[Choice, ...]:
    """The choices, the one of the rule `last` being the last checkpoint of the log.

    A run that diverged ends at a checkpoint without a loss. Whoever ships the last one ships that, so it is priced.
    """
    curve = evidence.val
    if not isinstance(curve, LoggedCurve):
        return tuple(choices)
    on_disk = evidence.on_disk
    last = max((i for i, c in enumerate(curve.checkpoints) if on_disk is None or c.name in on_disk), default=None)
    if last is None or np.isfinite(curve.nll[last]):
        return tuple(choices)
    accuracy = float(curve.accuracy[last])
    shipped = None if recommended is None else recommended.accuracy.value
    regret = None if shipped is None else shipped - accuracy
    return tuple(
        replace(
            c,
            checkpoint=curve.checkpoints[last].name,
            accuracy=_logged(accuracy),
            nll=Estimate(None, note="not a number in the log"),
            regret=Estimate(None) if regret is None else _logged(regret),
        )
        if c.rule == "last"
        else c
        for c in choices
    )


def _logged(value: float) -> Estimate:
    note = "logged, on the examples it was chosen on: flattering, no interval"
    return Estimate(value, note=note) if np.isfinite(value) else Estimate(None, note="not a number in the log")
