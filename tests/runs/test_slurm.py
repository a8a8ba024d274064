"""Workers as one array of a Slurm cluster: the script as text, and run by a stand-in for `sbatch`."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.audit.executors import WorkersEnded, sbatch_script
from overmem.audit.executors.slurm_array import SlurmFleet
from overmem.audit.launch import AuditLaunch
from overmem.errors import BadRequest

GOLDEN = Path(__file__).with_name("sbatch.golden.sh")
SBATCH = """#!/bin/bash
# Runs every task of an array at once in the background, as Slurm does, and prints the job's number.
script="${@: -1}"
last=$(sed -n 's/^#SBATCH --array=0-//p' "$script")
output=$(eval echo "$(sed -n 's/^#SBATCH --output=//p' "$script")")
for task in $(seq 0 "$last"); do
  log=$(echo "$output" | sed "s/%A/77/; s/%a/$task/")
  SLURM_JOB_ID=$((77 + task)) SLURM_ARRAY_TASK_ID=$task setsid bash "$script" >>"$log" 2>&1 </dev/null &
  echo $! >>"$(dirname "$0")/tasks"
done
echo "77;cluster"
"""
SQUEUE = """#!/bin/bash
for pid in $(cat "$(dirname "$0")/tasks"); do kill -0 "$pid" 2>/dev/null && echo RUNNING; done
exit 0
"""
SCONTROL = """#!/bin/bash
echo "$@" >>"$(dirname "$0")/requeued"
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder on PATH with stand-ins for Slurm's commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("overmem.audit.executors.slurm_array.SQUEUE_INTERVAL", 1.0)
    return folder


def launch(run, **more):
    return AuditLaunch(
        run=store.open_run(run), **{"workers": 8, "slurm": ("partition=gpu", "gres=gpu:1", "exclusive")} | more
    )


def test_the_script_equals_the_golden_one(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    text = sbatch_script(launch(run)).replace(str(tmp_path), "/scratch").replace(sys.executable, "python")
    assert text == GOLDEN.read_text()
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_an_option_of_another_form_or_set_by_the_script_is_refused(tmp_path):
    for option in ("partition=gpu\nrm -rf /", "--partition=gpu", "array=0-3"):
        with pytest.raises(BadRequest, match="--slurm"):
            sbatch_script(launch(tmp_path, slurm=(option,)))


def test_without_sbatch_the_other_executors_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    from overmem.audit.executors.slurm_array import slurm

    with pytest.raises(BadRequest, match="not on this machine's PATH; allowed here: local, ray"):
        slurm(launch(tmp_path))


def test_a_dry_run_prints_the_script_and_submits_nothing(overmem, foreign_run, cluster):
    done = overmem("audit", foreign_run, "--executor", "slurm", "--workers", 3, "--slurm", "partition=gpu", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "#SBATCH --array=0-2\n" in done.stdout
    assert "#SBATCH --partition=gpu\n" in done.stdout
    assert not (cluster / "tasks").exists()


def test_tasks_that_ended_with_units_left_are_an_error_with_their_logs(tmp_path, cluster):
    (cluster / "tasks").write_text("")
    with pytest.raises(WorkersEnded, match="job 77 have ended, with units left to do; their logs are in"):
        SlurmFleet("77", tmp_path, 2).restart_killed(0)


@pytest.mark.slow
def test_a_submitted_array_does_the_audit_and_judges_it(foreign_run, base, data_file, cluster, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    options = {"data": str(data_file), "base": str(base), "rows": 6, "max_new_tokens": 8}
    one = audit(Audit(str(run), **options, out=str(tmp_path / "one")))
    done = audit(Audit(str(run), **options, workers=2, executor="slurm"))
    assert list(done.measurements) == list(one.measurements)
    assert done.computed == one.computed
    assert not list(run.glob("overmem/observations/**/*.lease"))
    until = time.monotonic() + 100
    while list(run.glob("**/*.lease")) and time.monotonic() < until:
        time.sleep(0.05)  # the last task may still measure and judge, as the audit does
    assert not list(run.glob("**/*.lease"))
    assert (run / "overmem" / "workers" / "slurm-77_1.log").read_text()


@pytest.mark.slow
def test_a_task_that_receives_sigterm_releases_its_unit_and_is_queued_again(
    foreign_run, base, data_file, cluster, tmp_path
):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    options = {"data": str(data_file), "base": str(base), "rows": 80, "side_rows": 80, "max_new_tokens": 64}
    process = subprocess.Popen(
        [sys.executable, "-m", "overmem", "audit", str(run), "--executor", "slurm", "--workers", "1"]
        + [text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", str(value))],
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 200
        while not list(run.glob("overmem/observations/*/.*.lease")) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.kill()  # the tasks do not need it
        process.wait()
    os.kill(int((cluster / "tasks").read_text()), signal.SIGTERM)
    while not (cluster / "requeued").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert (cluster / "requeued").read_text() == "requeue 77\n"
    assert not list(run.glob("overmem/observations/*/.*.lease"))
