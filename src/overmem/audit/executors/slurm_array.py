"""Workers as one job array of a Slurm cluster: a readable script, submitted once.

Every task of the array is a worker. A task that is preempted, runs out of time or loses its machine is queued again and
continues with any unit that is left. The last worker measures and judges, so nobody has to stay logged in.
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

SQUEUE_INTERVAL = 15.0
"""Seconds between two calls of squeue."""
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
    """The script of the job array.

    Raises:
        BadRequest: an option does not have the form of sbatch's, or is set by the script itself.
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
    """Submit one job array of workers.

    Raises:
        BadRequest: there is no sbatch on this machine, or it refuses the script.
    """
    text = sbatch_script(launch)
    if shutil.which("sbatch") is None:
        raise BadRequest("--executor slurm needs sbatch, which is not on this machine's PATH; allowed here: local, ray")
    launch.logs.mkdir(parents=True, exist_ok=True)
    path = launch.logs / "slurm.sh"
    write_text(path, text)
    reply = subprocess.run(["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False)
    if reply.returncode != 0:
        raise BadRequest(f"sbatch refused {path}: {reply.stderr.strip() or reply.stdout.strip()}")
    return SlurmFleet(reply.stdout.strip().partition(";")[0], launch.logs, launch.workers)


@dataclass
class SlurmFleet(Fleet):
    """The tasks of one array."""

    job: str
    logs: Path
    _alive: int
    _checked: float = 0.0
    """When squeue was last called, by the monotonic clock."""

    def restart_killed(self, done: int) -> int:
        """The number of tasks that are queued or running, updated once in a while. Slurm itself requeues them."""
        now = time.monotonic()
        if now - self._checked > SQUEUE_INTERVAL and shutil.which("squeue") is not None:
            self._checked = now
            reply = subprocess.run(
                ["squeue", "--noheader", "--array", f"--jobs={self.job}", "--format=%T"],
                capture_output=True,
                text=True,
                check=False,
            )  # some time after a job has ended, squeue fails because its id is unknown
            self._alive = len(reply.stdout.split()) if reply.returncode == 0 or "Invalid job" in reply.stderr else 1
        if not self._alive:
            raise WorkersEnded(
                f"all tasks of job {self.job} have ended, with units left to do; their logs are in {self.logs}"
            )
        return self._alive

    def close(self) -> None:
        """Do nothing: the tasks do not need this process."""
