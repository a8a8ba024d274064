"""The checkpoint folders that a verdict leaves free to be deleted."""

import re
import shutil
from collections.abc import Collection, Sequence

from overmem import store
from overmem.records import Verdict
from overmem.verdict.selection import prunable


def prune(run: store.Run, verdict: Verdict, *, yes: bool = False) -> tuple[str, ...]:
    """The checkpoint folders that may be deleted, in time order; with `yes` they are deleted.

    Never the recommended one, its neighbours among those that the verdict judged, the last, or one that it did not
    judge. Neighbours are those of the verdict, not those on disk: pruning again deletes nothing more. None where
    nothing is recommended, and none on reduced evidence.

    Args:
        run: the run.
        verdict: which checkpoint is recommended, and which were judged.
        yes: delete them.

    Raises:
        Locked: another process writes to the run, so nothing was deleted.
    """
    if verdict.recommended is None or verdict.evidence != "observations":
        return ()
    judged = [v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.step > 0]
    judged = [name for name in judged if re.fullmatch(r"(checkpoint|merged)-[\w.-]+", name)]  # no way out of the run
    merged = {c.name: c.merged_from for c in store.read_checkpoints(run)} if run.plan_path.is_file() else {}
    needed = merged.get(verdict.recommended.checkpoint or "", ())
    kept = [verdict.recommended.checkpoint] if not needed else list(needed)
    free = set(judged)
    for name in kept:
        free &= set(prunable(verdict.checkpoints, name, judged))
    if not yes:
        return _on_disk(run, judged, free)
    with store.locked(run):
        deleted = _on_disk(run, judged, free)
        for name in deleted:
            shutil.rmtree(run.root / name)
    return deleted


def _on_disk(run: store.Run, judged: Sequence[str], free: Collection[str]) -> tuple[str, ...]:
    """Those of the free checkpoints whose folders are there, in time order. The last one on disk is never free."""
    here = [name for name in judged if (run.root / name).is_dir()]
    return tuple(name for name in here[:-1] if name in free)
