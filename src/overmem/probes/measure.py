"""Every measurement of a run: the probes of each checkpoint, and what only several together show."""

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
    """One row per number, checkpoint by checkpoint.

    Each checkpoint is read twice, and the base and the minimum once more, so that three whole snapshots are held at a
    time; a `read` that caches reads each file once.

    Args:
        checkpoints: in time order, merged ones anywhere.
        read: the observations of one of them.
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
        place = next(i for i, s in enumerate(scored) if s.checkpoint == checkpoint)
        yield from exposure(scored[: place + 1], whole=place + 1 == len(scored))


def lowest_nll(snapshots: Sequence[Snapshot]) -> Checkpoint | None:
    """The checkpoint of the lowest nll per token on `val`, or on `test` where val was not scored; of equals the first.

    None where fewer than two checkpoints were scored on it: there is nothing to be in excess of.
    """
    for split in ("val", "test"):
        found = [(s.checkpoint, scores_or_note(s, split)) for s in snapshots]
        nlls = [
            (float(scores.nll_sums.sum() / scores.token_counts.sum()), at)
            for at, (_, scores) in enumerate(found)
            if isinstance(scores, Scores) and scores.token_counts.sum() > 0
        ]
        finite = [(nll, at) for nll, at in nlls if isfinite(nll)]
        if finite:
            return found[min(finite)[1]][0] if len(finite) > 1 else None
    return None


def _scores_only(snapshot: Snapshot) -> Snapshot:
    """What a view over the whole run needs of one checkpoint: small enough to hold all of them."""
    kept = {split: snapshot.scores[split] for split in ("train", "val", "test") if split in snapshot.scores}
    return Snapshot(snapshot.checkpoint, {}, kept, {}, snapshot.notes)
