"""Executors: they start the workers of an audit or a sweep. One function per file, one literal table."""

from collections.abc import Callable, Mapping
from typing import Final

from overmem.audit.executors.launch import Fleet, Launch, WorkersEnded, watch_until_done
from overmem.audit.executors.local_processes import local
from overmem.audit.executors.ray_actors import ray
from overmem.audit.executors.slurm_array import sbatch_script, slurm
from overmem.tables import resolve

__all__ = ["EXECUTORS", "Fleet", "Launch", "WorkersEnded", "executor_of", "sbatch_script", "watch_until_done"]

EXECUTORS: Final[Mapping[str, Callable[[Launch], Fleet]]] = {
    "local": local,
    "ray": ray,
    "slurm": slurm,
}
"""Executor by name. One of your own is named "module:function" and needs no entry here."""


def executor_of(name: str) -> Callable[[Launch], Fleet]:
    """The executor of this name.

    Raises:
        BadRequest: an unknown name.
    """
    return resolve(EXECUTORS, name, "executor")
