"""Whether training examples can be identified as such, and which are the most exposed."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from overmem.probes.attacks import ATTACKS, LACKING, NEEDS, Tokens, able, blind
from overmem.probes.paired import shared, values_of
from overmem.probes.probe import Comparison
from overmem.probes.rows import missing, row, scores_or_note
from overmem.records import NEIGHBOUR_MARK, Estimate, Measurement, Scores, Snapshot, SplitName
from overmem.statistics import p_of_interval
from overmem.statistics.roc import auroc, auroc_difference, tpr_at

RATES = {"tpr@1%": 0.01, "tpr@0.1%": 0.001}
METRICS = tuple(f"{attack}_{metric}" for attack in (*ATTACKS, "blind") for metric in ("auroc", *RATES))
EXPOSED = 10


def membership(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Membership attacks on `train` (members) against `val` (non-members), and the ten most exposed examples.

    For each attack: `<attack>_auroc` (0.5: nothing leaks) and `<attack>_tpr@1%`, `<attack>_tpr@0.1%`, the share of
    members found at that false positive rate. `blind`: a guess from the text alone, without the model: what an attack
    must beat, since train and val may differ in content. Sound only where the two were split at random before training.
    `exposed`, by rank: the training examples on which training gained the most nats per token over the base model
    (without one: the lowest nll).
    All rows are on the split `train`.
    """
    members, others = scores_or_note(snapshot, "train"), scores_or_note(snapshot, "val")
    if isinstance(members, str):
        return missing(snapshot, "train", "membership", METRICS, members) + unranked(snapshot, "exposed", members)
    ours = tokens_of(snapshot, base, "train", members)
    rows = _exposed(snapshot, ours)
    if isinstance(others, str):
        return rows + missing(snapshot, "train", "membership", METRICS, f"val: {others}")
    theirs = tokens_of(snapshot, base, "val", others)
    for name in ATTACKS:
        high, low = attacked(name, ours), attacked(name, theirs)
        if min(len(high), len(low)) < 2:
            reason = LACKING.get(NEEDS.get(name, ""), "fewer than two members or non-members")
            rows += missing(snapshot, "train", "membership", [f"{name}_{m}" for m in ("auroc", *RATES)], reason)
            continue
        rows += separation(snapshot, name, np.array([*high.values()]), np.array([*low.values()]))
    texts = [[t.text for t in side.values() if t.text] for side in (ours, theirs)]
    if min(map(len, texts)) < 2:
        return rows + missing(snapshot, "train", "membership", METRICS[-3:], LACKING["text"])
    return rows + separation(snapshot, "blind", *blind(*texts))


def membership_gained(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """AUROC gained by `ratio` against the base model, without one by `loss`; DeLong's paired variance."""
    sides = [_tokens(snapshot, base, split) for snapshot in (bad, good) for split in ("train", "val")]
    for attack in ("ratio", "loss"):
        high, low, high_before, low_before = (attacked(attack, tokens) for tokens in sides)
        members, others = shared(list(high), list(high_before)), shared(list(low), list(low_before))
        if min(len(members), len(others)) >= 2:
            now = values_of(high, members), values_of(low, others)
            worse = auroc_difference(*now, values_of(high_before, members), values_of(low_before, others))
            sentence = "training rows are easier to identify: AUROC (0.5 is chance) is {} higher"
            yield Comparison(f"membership ({attack})", worse, p_of_interval(worse), sentence, is_share=False)
            return


def _tokens(snapshot: Snapshot, base: Snapshot | None, split: str) -> dict[str, Tokens]:
    scores = scores_or_note(snapshot, split)
    return {} if isinstance(scores, str) else tokens_of(snapshot, base, split, scores)


def attacked(attack: str, side: Mapping[str, Tokens]) -> dict[str, float]:
    """Example id -> its score by one attack, in the order of ids; examples that lack what it needs are left out."""
    return {name: ATTACKS[attack](tokens) for name, tokens in side.items() if able(attack, tokens)}


def tokens_of(snapshot: Snapshot, base: Snapshot | None, split: str, scores: Scores) -> dict[str, Tokens]:
    """Example id -> its tokens and what they are compared with, where the very same tokens were scored for that."""
    texts = {e.id: e.solution for e in snapshot.examples.get(split, ())}
    reference = _by_id(base.scores.get(split) if base else None)
    prefixed = _by_id(snapshot.scores.get(str(SplitName(split, attack="recall"))))
    neighbours = _mean_nlls(snapshot.scores.get(str(SplitName(split, attack="neighbour"))))
    made = {}
    for name, at in sorted((name, at) for at, name in enumerate(scores.example_ids)):
        inside = slice(int(scores.offsets[at]), int(scores.offsets[at + 1]))
        if inside.start == inside.stop:
            continue
        made[name] = Tokens(
            scores.logprob[inside].astype(np.float64),
            scores.is_argmax[inside].astype(bool),
            scores.mean_logprob[inside].astype(np.float64),
            scores.std_logprob[inside].astype(np.float64),
            texts.get(name, ""),
            _same(reference, name, scores.token_id[inside]),
            _same(prefixed, name, scores.token_id[inside]),
            np.array(neighbours.get(name, ()), dtype=np.float64),
        )
    return made


_Scored: TypeAlias = Mapping[str, tuple[Int[np.ndarray, " _"], Float[np.ndarray, " _"]]]


def _by_id(scores: Scores | None) -> _Scored:
    """Example id -> its token ids and their log probabilities."""
    if scores is None:
        return {}
    spans = zip(scores.example_ids, scores.offsets[:-1], scores.offsets[1:], strict=True)
    return {name: (scores.token_id[start:end], scores.logprob[start:end]) for name, start, end in spans}


def _same(scored: _Scored, name: str, token_id: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, " _"]:
    """The log probabilities of an example in other scores; none where it is not there or has other tokens."""
    there, logprob = scored.get(name, (np.empty(0, np.int64), np.empty(0)))
    return logprob.astype(np.float64) if np.array_equal(there, token_id) else np.empty(0)


def _mean_nlls(scores: Scores | None) -> dict[str, list[float]]:
    """Example id -> the nll per token of each of its neighbours, whose ids are `<id>~<number>`."""
    losses: dict[str, list[float]] = {}
    if scores is not None:
        rows = zip(scores.example_ids, scores.nll_sums, scores.token_counts, strict=True)
        for name, nll, tokens in sorted(rows):
            if tokens:
                losses.setdefault(name.rpartition(NEIGHBOUR_MARK)[0], []).append(float(nll / tokens))
    return losses


def separation(
    snapshot: Snapshot, name: str, members: Float[np.ndarray, " members"], others: Float[np.ndarray, " others"]
) -> list[Measurement]:
    """How well one attack's scores tell members from the others: AUROC and the true positive rates."""
    numbers = {"auroc": auroc(members, others)}
    numbers |= {metric: tpr_at(rate, members, others) for metric, rate in RATES.items()}
    return [row(snapshot, "train", "membership", f"{name}_{metric}", number) for metric, number in numbers.items()]


def most_exposed(tokens: dict[str, Tokens], count: int = EXPOSED) -> list[tuple[str, float]]:
    """The examples with the largest gain over the base model, or without one the lowest nll, and that number."""
    scored = attacked("diff", tokens) or attacked("loss", tokens)
    return sorted(scored.items(), key=lambda item: (-item[1], item[0]))[:count]


def _exposed(snapshot: Snapshot, tokens: dict[str, Tokens]) -> list[Measurement]:
    against = "diff" if attacked("diff", tokens) else "loss"
    return [
        row(snapshot, "train", "membership", "exposed", Estimate(score, n=1), rank=rank, example=name, by=against)
        for rank, (name, score) in enumerate(most_exposed(tokens), 1)
    ]


def unranked(snapshot: Snapshot, metric: str, note: str) -> list[Measurement]:
    """A ranking of training examples that could not be made, and why: every rank without a value."""
    ranks = range(1, EXPOSED + 1)
    return [
        measured for rank in ranks for measured in missing(snapshot, "train", "membership", [metric], note, rank=rank)
    ]
