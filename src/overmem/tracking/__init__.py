"""Trackers: the verdict, its curves and the examples that changed, where the user looks at runs. One function a file.

A tracker logs into its run that is active in this process, if there is one, else into a new run of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Final

from overmem.errors import naming_the_extra
from overmem.tables import resolve
from overmem.tracking.mlflow import mlflow
from overmem.tracking.record import TrackedVerdict, changed_examples, tracked_run
from overmem.tracking.tensorboard import tensorboard
from overmem.tracking.trackio import trackio
from overmem.tracking.wandb import wandb

__all__ = ["TRACKERS", "TrackedVerdict", "changed_examples", "check_trackers", "track", "tracked_run"]

TRACKERS: Final[Mapping[str, Callable[[TrackedVerdict], str]]] = {
    "trackio": trackio,
    "tensorboard": tensorboard,
    "mlflow": mlflow,
    "wandb": wandb,
}
"""Every tracker by name: logs a verdict, and returns where it is. One of your own is "module:function"."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that cannot be used, before any work.

    Raises:
        BadRequest: an unknown name, or a package that is not installed.
    """
    for name in names:
        resolve(TRACKERS, name, "tracker")
        with naming_the_extra():
            if name in TRACKERS and find_spec(name) is None:
                raise ModuleNotFoundError(name=name)


def track(verdict: TrackedVerdict, names: Sequence[str], say: Callable[[str], None]) -> tuple[str, ...]:
    """Log a verdict to these trackers, and say where; returns those that failed, whose reason is said too."""
    failed = []
    for name in names:
        try:
            with naming_the_extra():
                say(f"{name}: {resolve(TRACKERS, name, 'tracker')(verdict)}")
        except Exception as error:  # a server that does not answer ends neither an audit nor a training
            say(f"{name}: nothing was logged: {' '.join(str(error).split()) or type(error).__name__}")
            failed.append(name)
    return tuple(failed)
