"""The checkpoint folders that a verdict leaves free to be deleted."""

import re
import shutil

from overmem import store
from overmem.records import Verdict
from overmem.verdict.selection import prunable


def prune(run: store.Run, verdict: Verdict, *, yes: bool = False) -> tuple[str, ...]:
    """The checkpoint folders that may go, in time order; deleted with `yes`.

    Never the recommended one, its neighbours, the last, or one that the verdict did not judge. None where nothing is
    recommended, and none on reduced evidence.
    """
    if verdict.recommended is None or verdict.evidence != "observations":
        return ()
    named = [v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.step > 0]
    named = [name for name in named if re.fullmatch(r"(checkpoint|merged)-[\w.-]+", name)]  # no way out of the run
    here = [name for name in named if (run.root / name).is_dir()]
    merged = {c.name: c.merged_from for c in store.read_checkpoints(run)} if run.plan_path.is_file() else {}
    needed = merged.get(verdict.recommended.checkpoint or "", ())
    kept = [verdict.recommended.checkpoint] if not needed else list(needed)
    free = set(here)
    for name in kept:
        free &= set(prunable(verdict.checkpoints, name, here))
    found = tuple(name for name in here if name in free)
    for name in found if yes else ():
        shutil.rmtree(run.root / name)
    return found
