"""Workers as processes on this machine: one per GPU, or sharing the cores of the CPU."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import torch

from overmem.audit.executors.launch import Fleet, Launch, WorkersEnded

MAX_DEATHS = 10
"""Deaths of workers without a finished unit in between after which none is started again."""
_REFUSED = 2
"""Exit code of a worker that refuses the request: starting it again would not help."""


def local(launch: Launch) -> "LocalFleet":
    """Start processes on this machine. They are started again if they are killed, and end with this process."""
    fleet = LocalFleet(launch)
    fleet.begin()
    return fleet


def loading(launch: Launch) -> "LocalFleet":
    """Start processes that load their libraries, write nothing, and wait for `begin`."""
    fleet = LocalFleet(launch)
    for number in range(launch.workers):
        fleet.start(number, waits=True)
    return fleet


@dataclass
class LocalFleet(Fleet):
    """Processes of this machine."""

    launch: Launch
    _running: dict[int, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _deaths: int = 0
    """Deaths since a unit was last finished."""
    _done: int = 0

    def start(self, number: int, *, waits: bool = False) -> None:
        """Start the worker of this number; its output is appended to its log.

        Args:
            number: of the worker, from 0.
            waits: whether it waits for `begin` and has no log until then.
        """
        command = self.launch.command("--device", self.device(number), "--parent-pid", str(os.getpid()))
        environment, nothing = self.environment(), subprocess.DEVNULL
        if waits:
            self._running[number] = subprocess.Popen(
                [*command, "--waits"], stdin=subprocess.PIPE, stdout=nothing, stderr=nothing, env=environment
            )
            return
        with self._log(number).open("ab") as log:
            self._running[number] = subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log, env=environment)

    def begin(self) -> None:
        """Let the workers begin that wait, and start the others."""
        self.launch.logs.mkdir(parents=True, exist_ok=True)
        for number in range(self.launch.workers):
            if number not in self._running or not _told(self._running[number], self._log(number)):
                self.start(number)

    def _log(self, number: int) -> Path:
        return self.launch.logs / f"{number}.log"

    def device(self, number: int) -> str:
        """The device of a worker: the GPUs in turn if there are some, unless the user named a device."""
        if self.launch.device != "auto" or not torch.cuda.is_available():
            return self.launch.device
        return f"cuda:{number % torch.cuda.device_count()}"

    def environment(self) -> dict[str, str]:
        """The environment of a worker: its share of the cores, unless the user has set a number of threads."""
        share = max(1, cores() // self.launch.workers)
        return {"OMP_NUM_THREADS": str(share), "TOKENIZERS_PARALLELISM": "false"} | dict(os.environ)

    def restart_killed(self, done: int) -> int:
        """Start workers again that were killed, not those that ended by themselves."""
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
                if self._deaths <= MAX_DEATHS:
                    self.start(number)
        if not self._running:
            number = refused[0] if refused else 0
            raise WorkersEnded(
                f"all workers have ended, with units left to do; last line of one: {self.last_line(number)}"
            )
        return len(self._running)

    def last_line(self, number: int) -> str:
        """The last line that a worker printed."""
        path = self._log(number)
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        return f"{last} ({path})"

    def close(self) -> None:
        """End the workers that are still running; they release their leases."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _told(waiting: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Tell a waiting worker to begin and to write to a log; False if it has ended."""
    if waiting.stdin is None or waiting.poll() is not None:
        return False
    try:
        with waiting.stdin:
            waiting.stdin.write(f"{log}\n".encode())
    except BrokenPipeError:
        return False
    return True


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
