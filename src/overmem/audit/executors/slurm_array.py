"""Workers as one array of a Slurm cluster: a script that a person can read, submitted once.

Every task of the array is a worker. None of them matters: where a task is preempted, runs out of time or loses its
machine, it is queued again and goes on with whatever unit is left. The last worker measures and judges, so that nobody
has to stay logged in.
"""

import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from overmem.audit.executors.launch import Fleet, Launch, WorkersEnded
from overmem.errors import BadRequest
from overmem.store import write_text

BETWEEN_LOOKS = 15.0
"""Seconds between two questions to the scheduler."""
_SCRIPT = """#!/bin/bash
#SBATCH --job-name=overmem-{name}
#SBATCH --array=0-{last}
#SBATCH --output={output}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
{options}
# Every task of this array is one worker: it takes units of the run's queue until all are done. Submit the script again,
# or more of it, at any time: workers share the queue through the run directory.
#
# A minute before a preemption or the end of its time a task is sent TERM: the worker gives back its unit, and the task
# is queued again.
stop() {{
  trap - TERM
  kill -TERM "$worker"
  wait "$worker"
  scontrol requeue "$SLURM_JOB_ID"
  exit
}}
trap stop TERM

{command} &
worker=$!
wait "$worker"
"""


def sbatch_script(launch: Launch) -> str:
    """The script of the array.

    Raises:
        BadRequest: an option that is none of sbatch's form, or one that the script sets itself.
    """
    for option in launch.slurm:
        if not re.fullmatch(r"[a-z][a-z-]*(=[^\n\r]+)?", option):
            raise BadRequest(f"--slurm {option!r}; allowed: options of sbatch, as partition=gpu or exclusive")
        if option.partition("=")[0] in ("array", "output", "open-mode", "signal", "requeue"):
            raise BadRequest(f"--slurm {option!r} is set by the script itself; --workers sets the length of the array")
    return _SCRIPT.format(
        name=re.sub(r"[^\w.-]", "-", launch.name),
        last=launch.workers - 1,
        output=shlex.quote(f"{launch.logs}/slurm-%A_%a.log"),
        options="".join(f"#SBATCH --{option}\n" for option in launch.slurm),
        command=shlex.join(launch.command("--device", launch.device, "--finish")),
    )


def slurm(launch: Launch) -> "SlurmFleet":
    """One array of workers, submitted by sbatch.

    Raises:
        BadRequest: no sbatch here, or it refuses the script.
    """
    text = sbatch_script(launch)
    if shutil.which("sbatch") is None:
        raise BadRequest("--executor slurm needs sbatch, which is not on this machine's PATH; allowed here: local, ray")
    launch.logs.mkdir(parents=True, exist_ok=True)
    path = launch.logs / "slurm.sh"
    write_text(path, text)
    done = subprocess.run(["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BadRequest(f"sbatch refused {path}: {done.stderr.strip() or done.stdout.strip()}")
    return SlurmFleet(done.stdout.strip().partition(";")[0], launch.logs, launch.workers)


@dataclass
class SlurmFleet(Fleet):
    """The tasks of one array."""

    job: str
    logs: Path
    _alive: int
    _asked: float = 0.0

    def tend(self, done: int) -> int:
        """Ask the scheduler, once in a while, how many tasks are queued or running."""
        now = time.monotonic()
        if now - self._asked > BETWEEN_LOOKS and shutil.which("squeue") is not None:
            self._asked = now
            asked = subprocess.run(
                ["squeue", "--noheader", "--array", f"--jobs={self.job}", "--format=%T"],
                capture_output=True,
                text=True,
                check=False,
            )  # a job that ended is unknown after a while, which is an error of squeue
            self._alive = len(asked.stdout.split()) if asked.returncode == 0 or "Invalid job" in asked.stderr else 1
        if not self._alive:
            raise WorkersEnded(f"the tasks of job {self.job} have ended before the work; their logs are in {self.logs}")
        return self._alive

    def close(self) -> None:
        """Leave the tasks alone: they do not need this process."""
