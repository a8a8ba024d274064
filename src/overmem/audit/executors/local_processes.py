"""Workers as processes of this machine: one a GPU, or the cores of the CPU shared out among them."""

import os
import subprocess
from dataclasses import dataclass, field

import torch

from overmem.audit.executors.launch import Fleet, Launch, WorkersEnded

MOST_DEATHS = 10
"""Workers that may die one after another without a unit being finished."""
_REFUSED = 2
"""Exit code of a worker whose request cannot be met: another one's could not either."""


def local(launch: Launch) -> "LocalFleet":
    """Processes of this machine, started again where they are killed. They end when this process does."""
    launch.logs.mkdir(parents=True, exist_ok=True)
    fleet = LocalFleet(launch)
    for number in range(launch.workers):
        fleet.start(number)
    return fleet


@dataclass
class LocalFleet(Fleet):
    """Processes of this machine."""

    launch: Launch
    _running: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _deaths: int = 0
    """Deaths since a unit was last finished."""
    _done: int = 0

    def start(self, number: int) -> None:
        """Start the worker of this number; what it prints is added to its log."""
        command = self.launch.command("--device", self.device(number), "--parent-pid", str(os.getpid()))
        with (self.launch.logs / f"{number}.log").open("ab") as log:
            self._running[number] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment()
            )

    def device(self, number: int) -> str:
        """The device of a worker: GPUs in turn, where there are some and none was named."""
        if self.launch.device != "auto" or not torch.cuda.is_available():
            return self.launch.device
        return f"cuda:{number % torch.cuda.device_count()}"

    def environment(self) -> dict[str, str]:
        """The environment of a worker: its share of the cores, unless the user has set a number of threads."""
        share = max(1, cores() // self.launch.workers)
        return {"OMP_NUM_THREADS": str(share), "TOKENIZERS_PARALLELISM": "false"} | dict(os.environ)

    def tend(self, done: int) -> int:
        """Start workers again that were killed; those that ended by themselves stay ended."""
        if done > self._done:
            self._done, self._deaths = done, 0
        refused = []
        for number, process in list(self._running.items()):
            if (code := process.poll()) is None:
                continue
            del self._running[number]
            if code == _REFUSED:
                refused.append(number)
            elif code != 0:
                self._deaths += 1
                if self._deaths <= MOST_DEATHS:
                    self.start(number)
        if not self._running:
            number = refused[0] if refused else 0
            raise WorkersEnded(
                f"the workers have ended before the work; the last words of one: {self.last_line(number)}"
            )
        return len(self._running)

    def last_line(self, number: int) -> str:
        """The last line that a worker printed."""
        path = self.launch.logs / f"{number}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return f"{last} ({path})"

    def close(self) -> None:
        """End the workers that are still running; they give back their leases."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
