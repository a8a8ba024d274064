"""Mutate what commands read, by the thousand, and note every input that ends badly.

    python tests/fuzz/fuzz.py --inputs 20000 --output fuzz.json

An input ends badly if a command shows a traceback or raises anything but an error of ours, whose message is one line;
if it takes over a minute or over 4 GiB more memory; if it shows a control character; or if a verdict it writes holds
a value that cannot be: a share above 1, an interval that does not hold its value, a number that is not finite.
An input is named by its target and its seed: `--target log --seeds 17 42` makes just these.
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.faults import forked  # noqa: E402
from tests.faults.forked import run_forked  # noqa: E402
from tests.faults.scenes import stages_in  # noqa: E402
from tests.fuzz.mutations import mutated  # noqa: E402
from tests.fuzz.targets import TARGETS, Target, make_targets  # noqa: E402

LIMIT = 60
"""Seconds that an input may take."""
MEMORY = 4 * 2**30
"""Bytes that an input may take more than the loaded libraries."""
LONGEST_MESSAGE = 2000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class TooSlow(BaseException):
    """An input takes over a minute. No Exception, so that nothing catches it."""


@dataclass(frozen=True)
class Bad:
    """An input that ends badly."""

    target: str
    seed: int
    file: str
    command: str
    what: str


def tried(target_name: str, seed: int, home: Path) -> Bad | None:
    """Mutate one file of a target and run a command on it; what is bad about its end."""
    target, draw = TARGETS[target_name], random.Random(f"{target_name} {seed}")
    work = home / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(home / "stages" / target.stage, work)
    file, command = _chosen(target, work, draw)
    (work / file).write_bytes(mutated((work / file).read_bytes(), Path(file).suffix, draw))
    before = {path: path.read_bytes() for path in work.glob("**/verdict.json")}
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(LIMIT)
    try:
        what = _fault(command, work, before)
    except TooSlow:
        what = f"takes over {LIMIT} seconds"
    finally:
        signal.alarm(0)
    return None if what is None else Bad(target_name, seed, file, " ".join(command), what)


def _chosen(target: Target, work: Path, draw: random.Random) -> tuple[str, tuple[str, ...]]:
    files = sorted({str(p.relative_to(work)) for pattern in target.files for p in work.glob(pattern) if p.is_file()})
    file = draw.choice(files)
    names = {"file": file, "folder": str(Path(file).parent)}
    return file, tuple(part.format(**names) if part.startswith("{") else part for part in draw.choice(target.commands))


def _too_slow(number: int, frame: object) -> None:
    raise TooSlow


def _fault(command: Sequence[str], work: Path, before: Mapping[Path, bytes]) -> str | None:
    """What is bad about the end of a command; None for nothing.

    Args:
        command: the command line.
        work: the folder that it is run in.
        before: the verdicts that are there already.
    """
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    try:
        with contextlib.chdir(work), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            _run(command)
    except SystemExit as stop:
        code = stop.code
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [
            f"{Path(f.filename).name}:{f.lineno}"
            for f in frames
            if "overmem" in f.filename and "tests" not in f.filename
        ]
        return f"{type(error).__name__}: {str(error)[:200]} at {' '.join(ours[-3:])}"
    words = out.getvalue() + err.getvalue()
    if code not in (0, 1, 2):
        return f"exits with {code}"
    if "Traceback (most recent" in words:
        return "shows a traceback"
    if found := _CONTROL.search(words.replace("\r", "")):
        return f"shows the character {found[0]!r} in {words[max(0, found.start() - 80) : found.end() + 20]!r}"
    if code == 2:
        message = err.getvalue().rpartition("overmem: ")[2].strip("\n")
        if "\n" in message or not message:
            return f"an error of several lines, or none: {err.getvalue()[-400:]!r}"
        if len(message) > LONGEST_MESSAGE:
            return f"an error of {len(message)} characters: {message[:200]!r}"
    written = (path for path in work.glob("**/verdict.json") if path.read_bytes() != before.get(path))
    return next(
        (f"{path.name}: {odd}" for path in written for odd in _impossible(json.loads(path.read_text()), "")), None
    )


def _run(command: Sequence[str]) -> None:
    if command[0] == "data":
        from overmem.errors import OvermemError, one_line
        from overmem.tasks import load
        from overmem.tasks.data import Data

        try:
            load(Data(source=command[1], train=8, val=8, test=8))
        except OvermemError as error:
            sys.stderr.write(f"overmem: {one_line(error)}\n")
            sys.exit(2)
        return
    from overmem.cli import main

    main(list(command))


def _impossible(value: Any, where: str) -> Iterator[str]:
    """Values in a verdict that cannot be."""
    if isinstance(value, dict):
        low, middle, high = (value.get(k) for k in ("low", "value", "high"))
        if all(isinstance(x, float | int) for x in (low, middle, high)) and not low - 1e-9 <= middle <= high + 1e-9:
            yield f"{where}: {middle} is not between {low} and {high}"
        accuracy = middle if where.endswith("accuracy") else None
        if isinstance(accuracy, float | int) and not -1e-9 <= accuracy <= 1 + 1e-9:
            yield f"{where}: an accuracy of {accuracy}"
        for key, part in value.items():
            yield from _impossible(part, f"{where}.{key}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _impossible(part, f"{where}.{i}")
    elif isinstance(value, float) and (value != value or abs(value) == float("inf")):
        yield f"{where} is {value}"


def try_all(
    inputs: Sequence[tuple[str, int]], home: Path, say: Callable[[str], object] = lambda line: None
) -> list[Bad]:
    """The inputs, as (target, seed), that end badly. Each batch is run in a process of its own, which may die."""
    bad, todo = [], list(inputs)
    log = home / "done.jsonl"
    while todo:
        log.write_text("")
        ended = run_forked(partial(_batch, todo[:400], home, log), home / "batch", limit=400 * LIMIT)
        known = len(bad)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        bad += [Bad(**line) for line in lines if line]
        done = len(lines)
        if ended.code != 0 and done < min(400, len(todo)):
            name, seed = todo[done]
            bad.append(Bad(name, seed, "", "", f"the process ended with {ended.code}: {ended.words[-300:]}"))
            done += 1
        todo = todo[done:]
        for one in bad[known:]:
            say(f"{one.target} {one.seed}, {one.file}, {one.command}: {one.what}")
        say(f"{len(inputs) - len(todo)} of {len(inputs)} inputs, {len(bad)} bad")
    return bad


def _batch(inputs: Sequence[tuple[str, int]], home: Path, log: Path) -> None:
    """Try inputs one after the other, a line of the log each."""
    import transformers

    transformers.Trainer.train = lambda self, *args, **more: None  # what is fuzzed is read before it
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with log.open("a") as lines:
        for name, seed in inputs:
            found = tried(name, seed, home)
            lines.write(json.dumps(None if found is None else asdict(found)) + "\n")
            lines.flush()


def main() -> None:
    """Try inputs and print what ended badly; exits with 1 where something did."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=2000, help="over all targets")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seeds", type=int, nargs="+", help="just these")
    parser.add_argument("--home", type=Path, help="folder to work in; a temporary one by default")
    parser.add_argument("--output", type=Path, help="JSON file for the bad inputs")
    given = parser.parse_args()
    forked.load()
    count = -(-given.inputs // len(given.target))
    seeds = given.seeds or range(given.first, given.first + count)
    inputs = [(name, seed) for seed in seeds for name in given.target]
    with tempfile.TemporaryDirectory() as temporary:
        home = (given.home or Path(temporary)).resolve()
        stages_in(home, make_targets)
        (home / "batch").mkdir(exist_ok=True)
        start = time.monotonic()
        bad = try_all(inputs, home, lambda line: sys.stderr.write(line + "\n"))
        seconds = time.monotonic() - start
    kinds = Counter((b.target, re.sub(r"\d+", "#", b.what)[:300]) for b in bad)
    for (target, what), times in kinds.most_common():
        sys.stdout.write(f"{times:5} {target}: {what} e.g. {next(b.seed for b in bad if b.target == target)}\n")
    tried_by = Counter(name for name, _ in inputs)
    bad_by = Counter(b.target for b in bad)
    for name in given.target:
        sys.stdout.write(f"{name:36} {tried_by[name]:6} inputs {bad_by[name]:5} bad\n")
    sys.stdout.write(f"{len(inputs)} inputs in {seconds:.0f} s, {len(bad)} bad\n")
    if given.output:
        given.output.write_text(json.dumps([asdict(b) for b in bad], indent=1))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
