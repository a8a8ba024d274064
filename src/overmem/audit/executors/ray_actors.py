"""Workers as actors of a Ray cluster, which starts them again if their process or their machine dies.

Each actor, one per GPU, is a worker loop. They share the run directory, which every node must see under the same path.
overmem must be installed on the nodes; only paths and options are sent to them.
"""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from overmem.audit.executors.launch import Fleet, Launch, WorkersEnded
from overmem.audit.executors.local_processes import cores
from overmem.errors import OvermemError, naming_the_extra


class Actor:
    """One worker in a process of Ray."""

    def work(self, launch: Launch) -> str:
        """Work until all units are done; returns why the request is refused, or an empty string."""
        try:
            launch.work()
        except OvermemError as error:
            return str(error)
        return ""


def ray(launch: Launch) -> "RayFleet":
    """Start actors on the Ray cluster at RAY_ADDRESS or on this machine, or else on one that is started here."""
    with naming_the_extra():
        library: Any = import_module("ray")

    started = not library.is_initialized()
    quiet = {"logging_level": "WARNING", "log_to_driver": False}
    if started:
        try:
            library.init(address="auto", **quiet)
        except ConnectionError:
            library.init(num_cpus=max(launch.workers, cores()), include_dashboard=False, **quiet)
    has_gpus = bool(library.cluster_resources().get("GPU"))
    resources = {"num_cpus": 1, "num_gpus": 1} if has_gpus else {"num_cpus": 1}
    remote_actor = library.remote(Actor).options(max_restarts=-1, max_task_retries=-1, **resources)
    actors = [remote_actor.remote() for _ in range(launch.workers)]
    tasks = [actor.work.remote(launch) for actor in actors]
    return RayFleet(library, actors, tasks, started)


@dataclass
class RayFleet(Fleet):
    """Actors of a Ray cluster."""

    library: Any
    actors: list[Any]
    tasks: list[Any]
    """The call of `work` of each actor that has not ended."""
    started: bool
    """Whether the connection to the cluster was made here."""
    _reasons: list[str] = field(default_factory=list)

    def restart_killed(self, done: int) -> int:
        """Record which actors have ended. Ray itself starts killed ones again."""
        ended, self.tasks = self.library.wait(self.tasks, num_returns=len(self.tasks), timeout=0)
        for task in ended:
            try:
                reason = self.library.get(task)
            except Exception as error:  # an error of the actor, wrapped by Ray
                reason = str(error).strip().split("\n")[-1]
            self._reasons += [reason] if reason else []
        if not self.tasks:
            raise WorkersEnded(
                f"all actors have ended, with units left to do: {(self._reasons or ['for no known reason'])[0]}"
            )
        return len(self.tasks)

    def close(self) -> None:
        """End the actors, and the connection to the cluster if it was made here."""
        for actor in self.actors:
            self.library.kill(actor)
        if self.started:
            self.library.shutdown()
