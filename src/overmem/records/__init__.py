"""The frozen records that all other packages use. Plain Python and NumPy.

Log probabilities are natural (<= 0); nll is in nats per token (>= 0); fractions are never percent.
"""

from overmem.records.limits import Limits
from overmem.records.measurements import Estimate, Measurement
from overmem.records.observations import (
    NEIGHBOUR_MARK,
    READABLE_SCHEMAS,
    SCHEMA,
    TEMPERATURES,
    Checkpoint,
    Completions,
    Curves,
    Example,
    Grades,
    Samples,
    Scores,
    Snapshot,
)
from overmem.records.plan import Plan, PlannedSplit
from overmem.records.regimes import REGIMES, RULE, Regime
from overmem.records.shown import ShownExample
from overmem.records.splits import SplitName
from overmem.records.verdicts import (
    CheckpointTests,
    CheckpointVerdict,
    Choice,
    Consequence,
    Leaning,
    Onset,
    Severity,
    Verdict,
)

__all__ = [
    "NEIGHBOUR_MARK",
    "READABLE_SCHEMAS",
    "REGIMES",
    "RULE",
    "SCHEMA",
    "TEMPERATURES",
    "Checkpoint",
    "CheckpointTests",
    "CheckpointVerdict",
    "Choice",
    "Completions",
    "Consequence",
    "Curves",
    "Estimate",
    "Example",
    "Grades",
    "Leaning",
    "Limits",
    "Measurement",
    "Onset",
    "Plan",
    "PlannedSplit",
    "Regime",
    "Samples",
    "Scores",
    "Severity",
    "ShownExample",
    "Snapshot",
    "SplitName",
    "Verdict",
]
