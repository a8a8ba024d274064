"""Whether training examples can be told from others, and which ones are the most exposed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from overmem.probes.attacks import ATTACKS, NEEDS_REFERENCE, Tokens, blind
from overmem.probes.estimates import Number
from overmem.probes.roc import auroc, tpr_at
from overmem.probes.rows import missing, row, scores_or_note
from overmem.records import Example, Measurement, Scores, Snapshot

RATES = {"tpr@1%": 0.01, "tpr@0.1%": 0.001}
METRICS = tuple(f"{attack}_{metric}" for attack in (*ATTACKS, "blind") for metric in ("auroc", *RATES))
EXPOSED = 10


def membership(snapshot: Snapshot, *, base: Snapshot | None = None) -> list[Measurement]:
    """Membership attacks on `train` (members) against `val` (non-members), and the ten most exposed examples.

    For each attack: `<attack>_auroc` (0.5: nothing leaks) and `<attack>_tpr@1%`, `<attack>_tpr@0.1%`, the share of
    members found at that false positive rate. `blind`: a guess from the words alone, without the model: what an attack
    must beat, since train and val may differ in content. Sound only where the two were split at random before training.
    `exposed_01` .. `exposed_10`: the training examples on which training won the most nats per token over the base
    model (without one: the lowest nll); the note is the example's id.
    All rows are on the split `train`.
    """
    names = [*METRICS, *(f"exposed_{i:02d}" for i in range(1, EXPOSED + 1))]
    members, others = scores_or_note(snapshot, "train"), scores_or_note(snapshot, "val")
    if isinstance(members, str):
        return missing(snapshot, "train", "membership", names, members)
    ours = _tokens(snapshot, base, "train", members)
    rows = _exposed(snapshot, ours)
    if isinstance(others, str):
        return rows + missing(snapshot, "train", "membership", METRICS, f"val: {others}")
    theirs = _tokens(snapshot, base, "val", others)
    for name, attack in ATTACKS.items():
        reason = _reason(name, ours, theirs)
        if reason:
            rows += missing(snapshot, "train", "membership", [f"{name}_{m}" for m in ("auroc", *RATES)], reason)
            continue
        high = np.array([attack(t) for t in _known(name, ours).values()], dtype=np.float64)
        low = np.array([attack(t) for t in _known(name, theirs).values()], dtype=np.float64)
        rows += _told_apart(snapshot, name, high, low)
    texts = [[t.text for t in side.values() if t.text] for side in (ours, theirs)]
    if min(map(len, texts)) < 2:
        rows += missing(snapshot, "train", "membership", METRICS[-3:], "the texts of train and val are not at hand")
        return rows
    return rows + _told_apart(snapshot, "blind", *blind(*texts))


def _tokens(snapshot: Snapshot, base: Snapshot | None, split: str, scores: Scores) -> dict[str, Tokens]:
    """Example id -> its tokens, in the order of ids; the base model's where it scored the very same tokens."""
    texts = {e.id: _text(e) for e in snapshot.examples.get(split, ())}
    found = scores_or_note(base, split) if base else ""
    reference = found if isinstance(found, Scores) else None
    place = {name: at for at, name in enumerate(reference.example_ids)} if reference else {}
    made = {}
    for name, at in sorted((name, at) for at, name in enumerate(scores.example_ids)):
        inside = slice(int(scores.offsets[at]), int(scores.offsets[at + 1]))
        if inside.start == inside.stop:
            continue
        other = None
        if reference and name in place:
            there = slice(int(reference.offsets[place[name]]), int(reference.offsets[place[name] + 1]))
            if np.array_equal(reference.token_id[there], scores.token_id[inside]):
                other = reference.logprob[there]
        made[name] = Tokens(
            scores.logprob[inside],
            scores.is_argmax[inside].astype(bool),
            scores.mean_logprob[inside],
            scores.std_logprob[inside],
            texts.get(name, ""),
            other,
        )
    return made


def _text(example: Example) -> str:
    return f"{example.question}\n{example.solution}"


def _known(attack: str, side: dict[str, Tokens]) -> dict[str, Tokens]:
    if attack == "zlib":
        return {name: t for name, t in side.items() if t.text}
    return {name: t for name, t in side.items() if len(t.reference)} if attack in NEEDS_REFERENCE else side


def _reason(attack: str, ours: dict[str, Tokens], theirs: dict[str, Tokens]) -> str:
    if min(len(_known(attack, ours)), len(_known(attack, theirs))) >= 2:
        return ""
    if attack in NEEDS_REFERENCE:
        return "needs the base model's scores of train and val"
    if attack == "zlib":
        return "the texts of train and val are not at hand"
    return "fewer than two members or non-members"


def _told_apart(
    snapshot: Snapshot, name: str, members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]
) -> list[Measurement]:
    numbers = {"auroc": auroc(members, others)}
    numbers |= {metric: tpr_at(rate, members, others, seed=name) for metric, rate in RATES.items()}
    return [row(snapshot, "train", "membership", f"{name}_{metric}", number) for metric, number in numbers.items()]


def most_exposed(tokens: dict[str, Tokens], count: int = EXPOSED) -> list[tuple[str, float]]:
    """The examples with the largest gain over the base model, or without one the lowest nll, and that number."""
    known = _known("diff", tokens)
    scored = {name: ATTACKS["diff" if known else "loss"](t) for name, t in (known or tokens).items()}
    return sorted(scored.items(), key=lambda item: (-item[1], item[0]))[:count]


def _exposed(snapshot: Snapshot, tokens: dict[str, Tokens]) -> list[Measurement]:
    against = "diff" if _known("diff", tokens) else "loss"
    return [
        row(snapshot, "train", "membership", f"exposed_{i:02d}", Number(score, n=1, note=f"{name} by {against}"))
        for i, (name, score) in enumerate(most_exposed(tokens), 1)
    ]


def exposure(snapshots: Sequence[Snapshot], split: str = "train") -> dict[str, float]:
    """Each example's interquartile range of nll per token over the checkpoints: how much training moved it.

    Empty with fewer than two checkpoints that scored the split; examples that some checkpoint lacks are left out.

    Source: https://arxiv.org/abs/2411.05743.
    """
    found = [s for s in (scores_or_note(snapshot, split) for snapshot in snapshots) if isinstance(s, Scores)]
    if len(found) < 2:
        return {}
    tables = [dict(zip(s.example_ids, s.nll_sums / np.maximum(s.token_counts, 1), strict=True)) for s in found]
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    values = np.array([[table[name] for name in shared] for table in tables], dtype=np.float64)
    upper, lower = np.quantile(values, [0.75, 0.25], axis=0)
    return dict(zip(shared, (upper - lower).tolist(), strict=True))
