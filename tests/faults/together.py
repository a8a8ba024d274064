"""Run every pair of commands at the same time on one run.

    python tests/faults/together.py --output pairs.json

Each of the two may succeed or be refused in one line because the other has locked the run. Neither may show a traceback
or hang. Afterwards each has to end alone as it would have without the other, with no temporary file or lease left.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.faults import forked  # noqa: E402
from tests.faults.endstate import leftovers  # noqa: E402
from tests.faults.forked import Ended, run_forked  # noqa: E402
from tests.faults.scenes import AUDIT, make_stages, run_command, stages_in  # noqa: E402

COMMANDS = {
    "train": ("train", "recipe.yaml"),
    "audit": AUDIT,
    "audit of other rows": (*AUDIT[:3], "8", *AUDIT[4:]),
    "worker": ("worker", "run", "--finish"),
    "diagnose": ("diagnose", "run"),
    "prune": ("diagnose", "run", "--prune", "--yes"),
    "report": ("report", "run"),
    "merge": ("merge", "run", "--checkpoints", "checkpoint-3", "checkpoint-9"),
    "card": ("card", "run"),
    "export": ("export", "run"),
}
"""Commands by name. All run in a folder with a run that was trained, audited and judged."""
ALLOWED = (0, 1, 2)
"""Exit codes: done; done but something failed, which is said; refused."""


@dataclass(frozen=True)
class Pair:
    """What came of two commands at the same time."""

    first: str
    second: str
    codes: tuple[int, int]
    refusals: tuple[str, ...]
    """The last lines of refused commands."""
    faults: tuple[str, ...]


def together(first: str, second: str, stage: Path, folder: Path, limit: float) -> Pair:
    """Run two commands at the same time on a copy of the stage, then each alone.

    Args:
        first: a name of COMMANDS.
        second: likewise.
        stage: the folder that is copied.
        folder: where to, and where the commands run.
        limit: seconds after which a command hangs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(stage, folder)
    names = (first, second)
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda i: _run(names[i], folder, limit, str(i)), range(2)))
    faults = [fault for name, one in zip(names, ended, strict=True) for fault in _faults(name, one)]
    refusals = tuple(one.words.strip().rpartition("\n")[2] for one in ended if one.code == 2)
    for name in names:
        after = _run(name, folder, limit, "")
        faults += [f"afterwards, alone: {fault}" for fault in _faults(name, after)]
        if after.code == 2 and "prune" not in names:  # what was pruned cannot be merged
            faults.append(f"afterwards, alone, {name} is refused: {after.words[-300:]}")
    faults += [f"left: {name}" for name in leftovers(folder)]
    return Pair(first, second, (ended[0].code, ended[1].code), refusals, tuple(faults))


def _run(name: str, folder: Path, limit: float, number: str) -> Ended:
    return run_forked(lambda: run_command(COMMANDS[name]), folder, limit=limit, name=number)


def _faults(name: str, ended: Ended) -> list[str]:
    found = [f"{name} hangs"] * ended.is_hanging
    found += [f"{name} shows a traceback: {ended.words[-600:]}"] * ended.has_traceback
    if ended.code not in ALLOWED and not found:
        found.append(f"{name} exits with {ended.code}: {ended.words[-300:]}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pairs and print what was refused; exits with 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--limit", type=float, default=120.0, help="seconds after which a command hangs")
    parser.add_argument("--home", type=Path, help="folder to work in; a temporary one by default")
    parser.add_argument("--output", type=Path, help="JSON file with every pair")
    given = parser.parse_args(arguments)
    forked.load()
    pairs = []
    with tempfile.TemporaryDirectory() as temporary:
        home = (given.home or Path(temporary)).resolve()
        stage = stages_in(home, make_stages) / "judged"
        for first, second in combinations_with_replacement(given.commands, 2):
            pairs.append(together(first, second, stage, home / "work", given.limit))
            sys.stderr.write(f"{first} and {second}: {pairs[-1].codes} {' | '.join(pairs[-1].faults)}\n")
            if given.output:
                given.output.write_text(json.dumps([asdict(pair) for pair in pairs], indent=1))
    kinds = Counter(re.sub(r"\d+", "#", line)[:150] for pair in pairs for line in pair.refusals)
    for line, times in kinds.most_common():
        sys.stdout.write(f"{times:5} {line}\n")
    bad = sum(bool(pair.faults) for pair in pairs)
    sys.stdout.write(f"{len(pairs)} pairs, {bad} with faults\n")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
