"""The last stage of an audit: grades the completions and computes all measurements, without a model."""

from collections.abc import Callable, Mapping

import psutil

from overmem import store
from overmem.audit.grading import trusted_graders
from overmem.observe.grades import update_grades
from overmem.probes.measure import measured
from overmem.probes.probe import Probe
from overmem.records import Checkpoint, Measurement, Snapshot
from overmem.tasks import Data

MAX_WAIT = 3600.0
"""Seconds to wait for another process that measures the run."""
_CACHE_SHARE = 0.25
"""Share of the free memory for a cache of observations, so that probes read each file once."""


def finish(
    run: store.Run,
    probes: Mapping[str, Probe],
    *,
    data: Data | None = None,
    run_code: bool = False,
    say: Callable[[str], None] = lambda line: None,
    beside_training: bool = False,
) -> tuple[Measurement, ...]:
    """Grade and measure what was observed, under the run's lock; returns the measurements.

    Args:
        run: the run.
        probes: name -> probe.
        data: the source of the examples; only the graders "module:function" that it names are called.
        run_code: whether programs in completions may be run, in a sandbox.
        say: called with a line on what was graded, or is damaged.
        beside_training: whether `overmem train` may be running on the run.
    """
    with store.locked(run, wait=MAX_WAIT, beside_training=beside_training):
        names = [checkpoint.name for checkpoint in store.read_checkpoints(run)]
        trusted = trusted_graders(data)
        update_grades(run, names, store.read_plan(run).requests, trusted=trusted, say=say, run_code=run_code)
        rows = _measurements(run, probes, say)
        store.write_measurements(run, rows)
    return rows


def _measurements(run: store.Run, probes: Mapping[str, Probe], say: Callable[[str], None]) -> tuple[Measurement, ...]:
    """Every measurement of the run. Damaged files are measured as missing and then deleted."""
    read = store.snapshot_reader(run, cache_bytes=int(_CACHE_SHARE * psutil.virtual_memory().available))
    notes: dict[str, Mapping[tuple[str, str], str]] = {}

    def read_and_note(checkpoint: Checkpoint) -> Snapshot:
        snapshot = read(checkpoint)
        notes[checkpoint.name] = snapshot.notes
        return snapshot

    rows = tuple(measured(store.read_checkpoints(run), read_and_note, probes))
    for checkpoint in notes:
        for file in store.drop_damaged_units(run, checkpoint, notes[checkpoint]):
            say(f"{checkpoint}: {file} was damaged and is deleted; the next audit makes it again")
    return rows
