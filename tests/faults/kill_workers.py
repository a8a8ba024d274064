"""SIGKILL for random workers, and now and then for the launcher, over audits of one run until so many were killed.

    python tests/faults/kill_workers.py --kills 200

Every audit that comes to its end is compared with one by a single process that nobody disturbed: observations,
measurements and verdict have to be equal to the last digit, and no lease may be left. While audits run, the age of
every lease (time since its last heartbeat) is noted. A launcher that was killed is started again, as a user would.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import polars as pl
import psutil
import torch
from safetensors.torch import load_file, save_file

from overmem.audit import Audit, audit
from overmem.diagnose import Diagnose, diagnose
from overmem.store.leases import read_holder

LAUNCHER_SHARE = 0.1
"""Of the kills, how many hit the launcher."""
HOLDER_SHARE = 0.75
"""Of the others, how many wait for a worker that holds a unit, and hit that one."""

LONGEST_UNIT = 3.0
"""Seconds that units are left in peace before it, at the most."""


@dataclass
class Storm:
    """What happened."""

    kills: int = 0
    launchers: int = 0
    """Of the kills, those of a launcher."""
    holding: int = 0
    """Of the kills, those of a worker that held a unit."""
    audits: int = 0
    """Audits that came to their end."""
    unequal: list[str] = field(default_factory=list)
    """What differed from the undisturbed audit."""
    leases_left: int = 0
    """Leases that an audit left when it ended."""
    oldest_beat: float = 0.0
    """Seconds that the most neglected lease was there without a heartbeat while an audit observed."""


def storm(options: Audit, kills: int, *, seed: int, pause: tuple[float, float], say) -> Storm:
    """Kill until `kills` were killed.

    Args:
        options: the audit; `workers` of it are started.
        kills: how many processes to kill.
        seed: fixes what is killed, and after which pause.
        pause: seconds between two kills, from and to.
        say: called with a line when an audit has ended.
    """
    draw, seen, run = random.Random(seed), Storm(), Path(options.run)
    home = run / "overmem"
    calm = replace(options, out=str(run.parent / "calm"), workers=1)
    if not (run.parent / "calm" / "verdict.json").is_file():
        audited(calm)
    while seen.kills < kills:
        shutil.rmtree(home, ignore_errors=True)
        while True:
            begun, launcher = time.time(), start(options)
            while launcher.poll() is None:
                time.sleep(draw.uniform(*pause))
                watch_leases(home, begun, seen)
                if seen.kills < kills and launcher.poll() is None:
                    kill_one(launcher, home, draw, seen)
            if launcher.returncode == 0:
                break
        seen.audits += 1
        seen.unequal += differences(run.parent / "calm", home)
        seen.leases_left += len(list(home.glob("**/*.lease")))
        say(f"{seen.kills} killed, {seen.audits} audits ended, {len(seen.unequal)} differences")
    return seen


def audited(options: Audit) -> None:
    """An audit and its verdict, as the command makes them."""
    audit(options)
    diagnose(Diagnose(options.run, out=options.out, save=True))


def start(options: Audit) -> subprocess.Popen:
    """A launcher with its workers."""
    flags = []
    for name, value in asdict(options).items():
        if value not in (None, (), False) and name != "run":
            values = value if isinstance(value, tuple) else (value,)
            flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    command = [sys.executable, "-m", "overmem", "audit", options.run, *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_one(launcher: subprocess.Popen, home: Path, draw: random.Random, seen: Storm) -> None:
    """SIGKILL for one worker of a launcher, or for the launcher."""
    is_launcher = draw.random() < LAUNCHER_SHARE
    is_aimed = draw.random() < HOLDER_SHARE and not is_launcher
    for nap in (draw.uniform(0.0, LONGEST_UNIT), 0.0) if is_aimed else ():
        while launcher.poll() is None and not holders(home):
            time.sleep(0.002)
        time.sleep(nap)  # not at once, or no unit would ever be finished
    with suppress(psutil.Error, ProcessLookupError):
        children = [p.pid for p in psutil.Process(launcher.pid).children() if p.status() != psutil.STATUS_ZOMBIE]
        holding = sorted(set(children) & set(holders(home)))
        if is_launcher:
            target = launcher.pid
        elif is_aimed and holding:
            target = draw.choice(holding)
        elif children:
            target = draw.choice(sorted(children))
        else:
            return
        os.kill(target, signal.SIGKILL)
        seen.kills += 1
        seen.launchers += is_launcher
        seen.holding += target in holding
        if seen.kills % 10 == 0:
            sys.stderr.write(f"{seen.kills} killed\n")


def holders(home: Path) -> list[int]:
    """The processes that hold a unit."""
    found = [read_holder(path) for path in home.glob("observations/*/.*.lease")]
    return [holder.process for holder in found if holder is not None]


def watch_leases(home: Path, begun: float, seen: Storm) -> None:
    """Note how long the most neglected lease has been there without a heartbeat, since this launcher wrote its plan.

    Args:
        home: where the audit's files are.
        begun: when the launcher was started.
        seen: what to note it in.
    """
    for path in home.glob("observations/*/.*.lease"):
        with suppress(FileNotFoundError):
            planned = (home / "queue.json").stat().st_mtime
            if planned > begun:
                seen.oldest_beat = max(seen.oldest_beat, time.time() - max(planned, path.stat().st_mtime))


def differences(one: Path, other: Path) -> list[str]:
    """The files of two audits of one run that are not equal to the last digit."""
    names = {str(p.relative_to(home)) for home in (one, other) for p in home.glob("**/*.parquet")}
    unequal = []
    for name in sorted(names):
        try:
            same = pl.read_parquet(one / name).equals(pl.read_parquet(other / name))
        except OSError:
            same = False
        unequal += [] if same else [name]
    verdicts = [json.loads((home / "verdict.json").read_text()) for home in (one, other)]
    return unequal + (["verdict.json"] if verdicts[0] != verdicts[1] else [])


def make_run(folder: Path, checkpoints: int) -> Audit:
    """A run of a tiny model with checkpoints that differ by noise, and an audit of it in many short units."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from overmem.models.discovery import base_path

    base, run, draw = folder / "base", folder / "run", torch.Generator().manual_seed(0)
    if not run.is_dir():
        AutoTokenizer.from_pretrained(base_path("pebble")).save_pretrained(base)
        AutoModelForCausalLM.from_pretrained(base_path("pebble")).save_pretrained(base)
        for step in range(1, checkpoints + 1):
            shutil.copytree(base, run / f"checkpoint-{step}")
            tensors = load_file(base / "model.safetensors")
            noisy = {
                name: tensor + 0.002 * step * torch.randn(tensor.shape, generator=draw).to(tensor)
                for name, tensor in tensors.items()
            }
            save_file(noisy, run / f"checkpoint-{step}" / "model.safetensors", {"format": "pt"})
    return Audit(str(run), "wordproblems", str(base), rows=24, side_rows=12, draws=1, shifts=("typos",), workers=2)


def say(line: str) -> None:
    """A line on how far it is."""
    sys.stderr.write(line + "\n")


def main() -> None:
    """Run the storm and print what happened; exits with 1 where anything differed or was left."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checkpoints", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--pause", type=float, nargs=2, default=(1.0, 20.0), help="seconds between two kills, from and to"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = replace(make_run(Path(folder), given.checkpoints), workers=given.workers)
        start = time.monotonic()
        seen = storm(options, given.kills, seed=given.seed, pause=tuple(given.pause), say=say)
    sys.stdout.write(json.dumps(asdict(seen) | {"seconds": round(time.monotonic() - start)}, indent=2) + "\n")
    sys.exit(bool(seen.unequal or seen.leases_left))


if __name__ == "__main__":
    main()
