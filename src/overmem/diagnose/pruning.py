"""Which checkpoint folders may be deleted after a verdict."""

import re
import shutil
from collections.abc import Collection, Sequence

from overmem import store
from overmem.records import Verdict
from overmem.verdict.selection import prunable


def prune(run: store.Run, verdict: Verdict, *, yes: bool = False) -> tuple[str, ...]:
    """The checkpoint folders that may be deleted, in time order; with `yes` they are deleted.

    Kept are the recommended checkpoint, its neighbours in the verdict, the last one, and those that were not judged.
    Neighbours are those in the verdict, not on disk, so pruning again deletes nothing more. Nothing may be deleted if
    nothing is recommended, or if the verdict comes from logged curves only.

    Args:
        run: the run.
        verdict: which checkpoint is recommended, and which were judged.
        yes: delete them.

    Raises:
        Locked: another process writes to the run. Nothing was deleted.
    """
    if verdict.recommended is None or verdict.evidence != "observations":
        return ()
    judged = [v.checkpoint.name for v in verdict.checkpoints if v.checkpoint.step > 0]
    judged = [name for name in judged if re.fullmatch(r"(checkpoint|merged)-[\w.-]+", name)]  # never a path out of it
    merged = {c.name: c.merged_from for c in store.read_checkpoints(run)} if run.plan_path.is_file() else {}
    sources = merged.get(verdict.recommended.checkpoint or "", ())
    kept = [verdict.recommended.checkpoint] if not sources else list(sources)
    deletable = set(judged)
    for name in kept:
        deletable &= set(prunable(verdict.checkpoints, name, judged))
    if not yes:
        return _on_disk(run, judged, deletable)
    with store.locked(run):
        deleted = _on_disk(run, judged, deletable)
        for name in deleted:
            shutil.rmtree(run.root / name)
    return deleted


def _on_disk(run: store.Run, judged: Sequence[str], deletable: Collection[str]) -> tuple[str, ...]:
    """The deletable checkpoints whose folders exist, in time order, without the last folder on disk."""
    on_disk = [name for name in judged if (run.root / name).is_dir()]
    return tuple(name for name in on_disk[:-1] if name in deletable)
