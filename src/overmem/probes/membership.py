"""Membership inference: whether training examples can be identified, and which are the most exposed."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from overmem.probes.attacks import ATTACKS, NEEDS, WHY_MISSING, Tokens, blind, is_applicable
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

    For each attack: `<attack>_auroc` (0.5: no leak) and `<attack>_tpr@1%`, `<attack>_tpr@0.1%`, the share of members
    detected at that false positive rate. `blind`: predicted from the text alone, without the model; an attack must beat
    it, because train and val may differ in content. Sound only if the two were split at random before training.
    `exposed`, by rank: the training examples whose nll per token training lowered most against the base model (without
    a base model: those with the lowest nll).
    All rows are on the split `train`.
    """
    members, others = scores_or_note(snapshot, "train"), scores_or_note(snapshot, "val")
    if isinstance(members, str):
        return missing(snapshot, "train", "membership", METRICS, members) + unranked(snapshot, "exposed", members)
    train = tokens_of(snapshot, base, "train", members)
    rows = _exposed(snapshot, train)
    if isinstance(others, str):
        return rows + missing(snapshot, "train", "membership", METRICS, f"val: {others}")
    val = tokens_of(snapshot, base, "val", others)
    for name in ATTACKS:
        member_scores, other_scores = attack_scores(name, train), attack_scores(name, val)
        if min(len(member_scores), len(other_scores)) < 2:
            reason = WHY_MISSING.get(NEEDS.get(name, ""), "fewer than two members or non-members")
            rows += missing(snapshot, "train", "membership", [f"{name}_{m}" for m in ("auroc", *RATES)], reason)
            continue
        rows += separation(snapshot, name, np.array([*member_scores.values()]), np.array([*other_scores.values()]))
    texts = [{name: t.text for name, t in tokens.items() if t.text} for tokens in (train, val)]
    if min(map(len, texts)) < 2:
        return rows + missing(snapshot, "train", "membership", METRICS[-3:], WHY_MISSING["text"])
    group_of = {e.id: e.group for split in ("train", "val") for e in snapshot.examples.get(split, ())}
    members_of, others_of = ([group_of.get(name) or name for name in split] for split in texts)
    by_words = blind(list(texts[0].values()), list(texts[1].values()), groups=(members_of, others_of))
    return rows + separation(snapshot, "blind", *by_words)


def membership_gained(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """Increase of the AUROC of `ratio`, or of `loss` without a base model; DeLong's paired variance."""
    tokens = [_tokens(snapshot, base, split) for snapshot in (bad, good) for split in ("train", "val")]
    for attack in ("ratio", "loss"):
        train, val, train_before, val_before = (attack_scores(attack, each) for each in tokens)
        members, others = shared(list(train), list(train_before)), shared(list(val), list(val_before))
        if min(len(members), len(others)) >= 2:
            now = values_of(train, members), values_of(val, others)
            worse = auroc_difference(*now, values_of(train_before, members), values_of(val_before, others))
            sentence = "training rows are easier to identify: AUROC (0.5 is chance) is {} higher"
            yield Comparison(f"membership ({attack})", worse, p_of_interval(worse), sentence, is_share=False)
            return


def _tokens(snapshot: Snapshot, base: Snapshot | None, split: str) -> dict[str, Tokens]:
    scores = scores_or_note(snapshot, split)
    return {} if isinstance(scores, str) else tokens_of(snapshot, base, split, scores)


def attack_scores(attack: str, tokens: Mapping[str, Tokens]) -> dict[str, float]:
    """Example id -> its score by one attack, in the order of ids; examples without the field it needs are left out."""
    return {name: ATTACKS[attack](each) for name, each in tokens.items() if is_applicable(attack, each)}


def tokens_of(snapshot: Snapshot, base: Snapshot | None, split: str, scores: Scores) -> dict[str, Tokens]:
    """Example id -> its tokens, in the order of ids, and the scores of the same tokens that they are compared with.

    Args:
        snapshot: the checkpoint.
        base: the base model, if it was observed.
        split: `train` or `val`.
        scores: the scores of that split.
    """
    texts = {e.id: e.solution for e in snapshot.examples.get(split, ())}
    reference = _by_id(base.scores.get(split) if base else None)
    prefixed = _by_id(snapshot.scores.get(str(SplitName(split, attack="recall"))))
    neighbours = _mean_nlls(snapshot.scores.get(str(SplitName(split, attack="neighbour"))))
    tokens = {}
    for name, i in sorted((name, i) for i, name in enumerate(scores.example_ids)):
        span = slice(int(scores.offsets[i]), int(scores.offsets[i + 1]))
        if span.start == span.stop:
            continue
        tokens[name] = Tokens(
            scores.logprob[span].astype(np.float64),
            scores.is_argmax[span].astype(bool),
            scores.mean_logprob[span].astype(np.float64),
            scores.std_logprob[span].astype(np.float64),
            texts.get(name, ""),
            _logprobs(reference, name, scores.token_id[span]),
            _logprobs(prefixed, name, scores.token_id[span]),
            np.array(neighbours.get(name, ()), dtype=np.float64),
        )
    return tokens


_Scored: TypeAlias = Mapping[str, tuple[Int[np.ndarray, " _"], Float[np.ndarray, " _"]]]


def _by_id(scores: Scores | None) -> _Scored:
    """Example id -> its token ids and their log probabilities."""
    if scores is None:
        return {}
    spans = zip(scores.example_ids, scores.offsets[:-1], scores.offsets[1:], strict=True)
    return {name: (scores.token_id[start:end], scores.logprob[start:end]) for name, start, end in spans}


def _logprobs(scored: _Scored, name: str, token_id: Int[np.ndarray, " tokens"]) -> Float[np.ndarray, " _"]:
    """The log probabilities of an example in other scores; empty if it is missing or has other tokens."""
    other_ids, logprob = scored.get(name, (np.empty(0, np.int64), np.empty(0)))
    return logprob.astype(np.float64) if np.array_equal(other_ids, token_id) else np.empty(0)


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
    """How well the scores of one attack separate members from others: AUROC and true positive rates.

    Args:
        snapshot: the checkpoint.
        name: the attack.
        members: scores of members.
        others: scores of non-members.
    """
    estimates = {"auroc": auroc(members, others)}
    estimates |= {metric: tpr_at(rate, members, others) for metric, rate in RATES.items()}
    return [row(snapshot, "train", "membership", f"{name}_{metric}", value) for metric, value in estimates.items()]


def most_exposed(tokens: dict[str, Tokens], count: int = EXPOSED) -> list[tuple[str, float]]:
    """The examples with the highest score of `diff` against the base model, or of `loss` without one, and the score."""
    scores = attack_scores("diff", tokens) or attack_scores("loss", tokens)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:count]


def _exposed(snapshot: Snapshot, tokens: dict[str, Tokens]) -> list[Measurement]:
    attack = "diff" if attack_scores("diff", tokens) else "loss"
    return [
        row(snapshot, "train", "membership", "exposed", Estimate(score, n=1), rank=rank, example=name, by=attack)
        for rank, (name, score) in enumerate(most_exposed(tokens), 1)
    ]


def unranked(snapshot: Snapshot, metric: str, note: str) -> list[Measurement]:
    """A ranking of training examples that could not be made: every rank without a value, with the reason."""
    ranks = range(1, EXPOSED + 1)
    return [each for rank in ranks for each in missing(snapshot, "train", "membership", [metric], note, rank=rank)]
