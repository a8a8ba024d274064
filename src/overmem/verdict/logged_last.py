"""Both ends of a logged run: the last checkpoint, also where its loss is no number, and the model before training."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from overmem.records import Choice, Estimate
from overmem.statistics import Z
from overmem.verdict.evidence import Evidence, LoggedCurve
from overmem.verdict.quantities import Quantities


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
            nll=Estimate(None, note="not usable in the log"),
            regret=Estimate(None) if regret is None else _logged(regret),
        )
        if c.rule == "last"
        else c
        for c in choices
    )


def logged_over_base(curve: LoggedCurve, recommended: Choice | None, q: Quantities) -> Estimate | None:
    """Accuracy of the best checkpoint minus that logged at step 0, before training; None where none was logged there.

    Its interval is that of the noise of both.
    """
    base = next((i for i, c in enumerate(curve.checkpoints) if c.step == 0), None)
    if base is None or recommended is None or recommended.accuracy.value is None or not np.isfinite(q.accuracy[base]):
        return None
    gain = recommended.accuracy.value - float(q.accuracy[base])
    half = Z * float(np.nanmax(q.gap_stderr, initial=0.0))
    return Estimate(gain, gain - half, gain + half, q.n_accuracy)


def _logged(value: float) -> Estimate:
    note = "logged, on the examples it was chosen on: flattering, no interval"
    return Estimate(value, note=note) if np.isfinite(value) else Estimate(None, note="not usable in the log")
