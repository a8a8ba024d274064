"""Kill every verb at its k-th change of a file or at a random time, run it again, and compare the end states.

    python tests/faults/kill.py --kills 300 --verbs train audit --output kills.json

A kill is one SIGKILL, SIGTERM or SIGINT, or two SIGINTs in quick succession. After it the same command is run again, to
its end, and the folder has to be what it is after a command that nobody killed: the same files, their content equal to
the last digit except for times; no temporary file, no lease, no traceback in either process. Resumable: kills that are
in the output file without a fault are not made again.

FULL, READONLY and LIMIT are no kills: from that change on, every file that is opened for writing fails as on a full or
read-only disk; or no file may become longer than that many bytes. The command has to say so in one line and exit with
2, and the same command must get to the same end once there is room.
"""

import argparse
import errno
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.faults import forked  # noqa: E402
from tests.faults.endstate import differences, leftovers  # noqa: E402
from tests.faults.forked import Ended, run_forked  # noqa: E402
from tests.faults.scenes import SCENES, checked, make_stages, run_apart, stages_in  # noqa: E402

SIGNALS = {
    "KILL": (signal.SIGKILL,),
    "TERM": (signal.SIGTERM,),
    "INT": (signal.SIGINT,),
    "INT INT": (signal.SIGINT,) * 2,
}
DISKS = {"FULL": errno.ENOSPC, "READONLY": errno.EROFS}
LIMIT = "LIMIT"
NO_KILLS = (*DISKS, LIMIT)
SECOND_AFTER = 0.02
"""Seconds between two signals that follow each other."""


@dataclass(frozen=True)
class Kill:
    """Where a command is killed."""

    verb: str
    how: str
    """A name of SIGNALS, or one of NO_KILLS."""
    event: int | None = None
    """Before this change of a file, from 1 on; None for a time. With LIMIT, bytes of a file."""
    share: float = 0.0
    """Of the time that the undisturbed command takes."""


@dataclass
class Outcome:
    """What came of a kill."""

    kill: Kill
    code: int
    """Exit code of the killed process; minus the signal where it did not catch it."""
    was_hit: bool
    """Whether it was killed before it ended by itself."""
    faults: list[str] = field(default_factory=list)
    """What is wrong afterwards."""


@dataclass
class Theatre:
    """The folders: every stage, the working folder, and the end state of each verb that nobody killed."""

    home: Path
    limit: float = 60.0
    """Seconds after which a command hangs."""
    undisturbed: dict[str, Ended] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the stages."""
        stages_in(self.home, make_stages)

    def start(self, verb: str) -> Path:
        """A fresh folder for a verb: always the same path, so that paths in files are equal."""
        folder = self.home / "work"
        shutil.rmtree(folder, ignore_errors=True)
        return shutil.copytree(self.home / "stages" / SCENES[verb].stage, folder)

    def expected(self, verb: str) -> Path:
        """The end state of a verb that nobody killed; made twice, because it must not depend on chance."""
        folder = self.home / "expected" / verb
        if verb not in self.undisturbed:
            for place in (folder.with_name(f"{verb}-again"), folder):
                shutil.rmtree(place, ignore_errors=True)
                start = self.start(verb)
                self.undisturbed[verb] = checked(self.run(verb, start))
                for _ in range(SCENES[verb].runs - 1):
                    checked(self.run(verb, start))
                shutil.copytree(start, place)
            if unequal := apart_differences(folder, folder.with_name(f"{verb}-again")):
                raise SystemExit(f"{verb} does not do the same twice: {unequal}")
        return folder

    def run(self, verb: str, folder: Path, *, longest: int | None = None, **more) -> Ended:
        """The verb's command in a folder, in a process of its own, whose files may become `longest` bytes long."""

        def work() -> None:
            if longest is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
            SCENES[verb].run()

        return run_forked(work, folder, limit=self.limit, **more)

    def kill(self, kill: Kill) -> Outcome:
        """Kill, run again, compare."""
        expected, folder = self.expected(kill.verb), self.start(kill.verb)
        signals = SIGNALS.get(kill.how, ())
        if kill.how in DISKS:
            first = self.run(kill.verb, folder, interfere=lambda k, event: _refuse(k, event, kill))
        elif kill.how == LIMIT:
            first = self.run(kill.verb, folder, longest=kill.event)
        elif kill.event is None:
            begin = kill.share * self.undisturbed[kill.verb].seconds
            plan = [(begin + SECOND_AFTER * i, number) for i, number in enumerate(signals)]
            first = self.run(kill.verb, folder, kills=plan)
        else:
            first = self.run(kill.verb, folder, interfere=lambda k, event: _die(k, kill.event, signals))
        after = [self.run(kill.verb, folder) for _ in range(SCENES[kill.verb].runs)]
        was_hit = first.events < self.undisturbed[kill.verb].events or first.code != self.undisturbed[kill.verb].code
        outcome = Outcome(kill, first.code, was_hit)
        if kill.how in NO_KILLS and first.code not in (2, self.undisturbed[kill.verb].code):
            outcome.faults.append(f"with {kill.how} it exits with {first.code}: {first.words[-300:]}")
        for name, ended in (("the killed process", first), *(("the process after it", one) for one in after)):
            outcome.faults += [f"{name} hangs"] * ended.is_hanging
            outcome.faults += [f"{name} shows a traceback: {ended.words[-400:]}"] * ended.has_traceback
            if ended is not first and ended.code != self.undisturbed[kill.verb].code:
                outcome.faults.append(f"{name} exits with {ended.code}: {ended.words[-300:]}")
        outcome.faults += apart_differences(expected, folder) + [f"left: {name}" for name in leftovers(folder)]
        return outcome


def apart_differences(expected: Path, found: Path) -> list[str]:
    """In what the second folder differs, read by a process of its own: forks would lose the threads of polars."""
    ended = run_apart(lambda: sys.stdout.write(json.dumps(differences(expected, found))), found)
    return json.loads(ended.words)


def _die(k: int, at: int, signals: Sequence[int]) -> None:
    if k >= at and k - at < len(signals):
        os.kill(os.getpid(), signals[k - at])


def _refuse(k: int, event: str, kill: Kill) -> None:
    if k >= kill.event and event in ("open", "os.mkdir"):
        raise OSError(DISKS[kill.how], os.strerror(DISKS[kill.how]))


def drawn(verb: str, count: int, events: int, seed: int, hows: Sequence[str] | None = None) -> list[Kill]:
    """Kills of a verb: half at changes of files, spread over all of them, half at random times."""
    draw = random.Random(f"{seed} {verb}")
    kills = []
    for i in range(count):
        how = draw.choice(["KILL", "KILL", "TERM", "INT", "INT INT"]) if hows is None else draw.choice(hows)
        if how == LIMIT:
            kills.append(Kill(verb, how, event=int(10 ** draw.uniform(3.7, 5.5))))
        elif i % 2 == 0 or how in DISKS:
            low = 1 + i * events // (count + 1)
            kills.append(Kill(verb, how, event=min(events, draw.randint(low, low + 2 * events // count))))
        else:
            kills.append(Kill(verb, how, share=round(draw.random(), 4)))
    return kills


def table(outcomes: Sequence[Outcome]) -> str:
    """A line per verb."""
    names = (*SIGNALS, *NO_KILLS)
    lines = [f"verb        kills   hit  {'  '.join(names)}  faults"]
    for verb in SCENES:
        own = [o for o in outcomes if o.kill.verb == verb]
        hows = Counter(o.kill.how for o in own)
        counts = "  ".join(f"{hows[name]:{len(name)}}" for name in names)
        lines.append(
            f"{verb:10} {len(own):6} {sum(o.was_hit for o in own):5}  {counts}  {sum(bool(o.faults) for o in own):6}"
        )
    return "\n".join(lines)


def main() -> None:
    """Make the kills and print the table; exits with 1 where an end state differed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=300, help="over all verbs")
    parser.add_argument("--verbs", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument(
        "--how", nargs="+", choices=[*SIGNALS, *NO_KILLS], help="by default all signals, KILL twice as often"
    )
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a command hangs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON file with every kill; those in it are not made again")
    parser.add_argument("--home", type=Path, help="folder to work in; a temporary one by default")
    given = parser.parse_args()
    read = json.loads(given.output.read_text()) if given.output and given.output.is_file() else []
    outcomes = [Outcome(**{**one, "kill": Kill(**one["kill"])}) for one in read if not one["faults"]]
    forked.load()
    with tempfile.TemporaryDirectory() as temporary:
        theatre = Theatre((given.home or Path(temporary)).resolve(), given.limit)
        theatre.prepare()
        for verb in given.verbs:
            theatre.expected(verb)
            events = theatre.undisturbed[verb].events
            sys.stderr.write(f"{verb}: {events} changes of files, {theatre.undisturbed[verb].seconds:.1f} s\n")
            done = {o.kill for o in outcomes}
            for kill in drawn(verb, -(-given.kills // len(given.verbs)), events, given.seed, given.how):
                if kill in done:
                    continue
                outcome = theatre.kill(kill)
                outcomes.append(outcome)
                for fault in outcome.faults:
                    sys.stderr.write(f"  {kill}: {fault}\n")
                if given.output:
                    given.output.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    sys.stdout.write(table(outcomes) + "\n")
    sys.exit(any(o.faults for o in outcomes))


if __name__ == "__main__":
    main()
