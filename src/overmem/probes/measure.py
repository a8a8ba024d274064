"""Every measurement of a run: the probes of each checkpoint, and exposure over the checkpoints."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite

from overmem.probes import PROBES
from overmem.probes.exposure import exposure
from overmem.probes.probe import Probe
from overmem.probes.rows import scores_or_note
from overmem.records import Checkpoint, Measurement, Scores, Snapshot


def measured(
    checkpoints: Sequence[Checkpoint],
    read: Callable[[Checkpoint], Snapshot],
    probes: Mapping[str, Probe] = PROBES,
) -> Iterator[Measurement]:
    """Every measurement, checkpoint by checkpoint.

    Every checkpoint is read twice, and the base and the minimum once more, so that no more than three whole snapshots
    are in memory; a `read` that caches reads each file once.

    Args:
        checkpoints: the trained ones in time order; merged ones may be anywhere among them.
        read: checkpoint -> its observations.
        probes: the table of probes.
    """
    scored = [_scores_only(read(c)) for c in checkpoints if not c.merged_from]
    base = next((read(s.checkpoint) for s in scored if s.checkpoint.step == 0), None)
    lowest = lowest_nll(scored)
    minimum = read(lowest) if lowest is not None else None
    for checkpoint in checkpoints:
        snapshot = read(checkpoint)
        for probe in probes.values():
            yield from probe(snapshot, base=base, minimum=minimum)
        if checkpoint.merged_from:
            continue
        count = 1 + next(i for i, s in enumerate(scored) if s.checkpoint == checkpoint)
        yield from exposure(scored[:count], whole=count == len(scored))


def lowest_nll(snapshots: Sequence[Snapshot]) -> Checkpoint | None:
    """The first checkpoint with the lowest nll per token on `val`, or on `test` if val was not scored.

    None if fewer than two checkpoints were scored on it: there is nothing to be in excess of.
    """
    for split in ("val", "test"):
        scores_of = [scores_or_note(snapshot, split) for snapshot in snapshots]
        nlls = [
            (float(scores.nll_sums.sum() / scores.token_counts.sum()), index)
            for index, scores in enumerate(scores_of)
            if isinstance(scores, Scores) and scores.token_counts.sum() > 0
        ]
        finite = [(nll, index) for nll, index in nlls if isfinite(nll)]
        if finite:
            return snapshots[min(finite)[1]].checkpoint if len(finite) > 1 else None
    return None


def _scores_only(snapshot: Snapshot) -> Snapshot:
    """The snapshot reduced to the scores of train, val and test: small enough to keep one per checkpoint."""
    kept = {split: snapshot.scores[split] for split in ("train", "val", "test") if split in snapshot.scores}
    return Snapshot(snapshot.checkpoint, {}, kept, {}, snapshot.notes)
