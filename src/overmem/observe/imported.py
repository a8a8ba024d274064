"""Uses completions that were imported from another harness's logs in an audit of the same questions."""

from collections.abc import Mapping, Sequence

from overmem import store
from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.files import fingerprint
from overmem.observe.plan import Split
from overmem.records import Checkpoint
from overmem.store.imported import adopt, answers_all


def adopt_imported(
    run: store.Run,
    checkpoints: Sequence[Checkpoint],
    refs: Sequence[CheckpointRef],
    splits: Mapping[str, Split],
    base: str | None,
) -> int:
    """Mark imported completions as those of this audit's request; returns the number of such units.

    Args:
        run: the run.
        checkpoints: the checkpoints of the previous plan, on disk or not.
        refs: the checkpoints to audit.
        splits: the splits to audit.
        base: folder or hub id of the model that adapters change.
    """
    weights = {checkpoint.name: "" for checkpoint in checkpoints}
    for ref in refs:
        try:
            weights[ref.checkpoint.name] = fingerprint(ref.path, base)
        except BadCheckpoint:
            continue  # its failure is noted when it is loaded
    adopted = 0
    for name, split in ((name, split) for name in weights for split in splits.values()):
        ids = [example.id for example in split.examples]
        if "samples" in split.kinds and answers_all(run, name, split.name, ids, weights[name]):
            adopt(run, name, split.name, ids, weights=weights[name], request=split.request)
            adopted += 1
    return adopted
