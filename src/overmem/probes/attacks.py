"""Membership attacks: a score per example, high if it was likely trained on. One function each."""

import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from overmem.probes.variety import words

Attack: TypeAlias = Callable[["Tokens"], float]


def _empty() -> Float[np.ndarray, "0"]:
    return np.empty(0)


@dataclass(frozen=True)
class Tokens:
    """The solution tokens of one example under the checkpoint, and the scores they are compared with, if observed."""

    logprob: Float[np.ndarray, " tokens"]
    is_argmax: Bool[np.ndarray, " tokens"]
    mean_logprob: Float[np.ndarray, " tokens"]
    std_logprob: Float[np.ndarray, " tokens"]
    text: str = ""
    reference: Float[np.ndarray, " reference_tokens"] = field(default_factory=_empty)
    """Log probabilities of the same tokens under the base model."""
    prefixed: Float[np.ndarray, " prefixed_tokens"] = field(default_factory=_empty)
    """Log probabilities of the same tokens after a prefix of non-members."""
    neighbours: Float[np.ndarray, " neighbours"] = field(default_factory=_empty)
    """Nll per token of slightly changed solutions."""


def loss(tokens: Tokens) -> float:
    """Minus the nll per token.

    Source: Yeom et al. 2018, https://arxiv.org/abs/1709.01604.
    """
    return float(tokens.logprob.mean())


def compressed(tokens: Tokens) -> float:
    """Minus the summed nll divided by the zlib-compressed size of the text in bytes: repetitive text is easy anyway.

    Source: Carlini et al. 2021, https://arxiv.org/abs/2012.07805.
    """
    return float(tokens.logprob.sum() / len(zlib.compress(tokens.text.encode())))


def mink(tokens: Tokens, *, share: float = 0.2) -> float:
    """Mean log probability of the least likely fifth of the tokens (at least one).

    Source: Shi et al. 2024, https://arxiv.org/abs/2310.16789.
    """
    return _lowest_mean(tokens.logprob, share)


def minkpp(tokens: Tokens, *, share: float = 0.2) -> float:
    """Min-K%++: like `mink`, with log probabilities standardised by their mean and spread over the vocabulary.

    Source: Zhang et al. 2025, https://arxiv.org/abs/2404.02936.
    """
    return _lowest_mean((tokens.logprob - tokens.mean_logprob) / np.maximum(tokens.std_logprob, 1e-6), share)


def diff(tokens: Tokens) -> float:
    """Nll per token under the base model minus that under the checkpoint: the gain by training on this example."""
    return float((tokens.logprob - tokens.reference).mean())


def ratio(tokens: Tokens) -> float:
    """Nll under the base model divided by that under the checkpoint, each at least 1e-6 nats per token."""
    return float(max(-tokens.reference.mean(), 1e-6) / max(-tokens.logprob.mean(), 1e-6))


def wbc(tokens: Tokens) -> float:
    """Mean over window lengths of the share of windows in which the base model's summed nll exceeds the checkpoint's.

    Source: https://arxiv.org/abs/2601.02751.
    """
    gain = np.concatenate([[0.0], np.cumsum(tokens.logprob - tokens.reference)])
    widths = [w for w in (2, 3, 4, 6, 9, 13, 18, 25, 32, 40) if w < len(gain)] or [len(gain) - 1]
    return float(np.mean([np.mean(gain[w:] - gain[:-w] > 0) for w in widths]))


def ez(tokens: Tokens, *, smoothing: float = 0.1) -> float:
    """Gains divided by losses against the base model, on tokens where the label is not the argmax, smoothed.

    With d the gain in log probability: (sum of gains + e) / (sum of losses + e). Fully memorized text has no such
    token, so the unsmoothed ratio is 0 and ranks it as the surest non-member. Here it is (T mean d + e) / e over all
    its T tokens, or 1 if mean d is negative: the same ratio with every token counted and no losses.

    Source: https://arxiv.org/abs/2601.12104.
    Differs from the paper: the smoothing, and the value of examples without error tokens.
    """
    gain = tokens.logprob - tokens.reference
    wrong = gain[~tokens.is_argmax]
    if not len(wrong):
        return float(1.0 + len(gain) * max(0.0, gain.mean()) / smoothing)
    return float((np.maximum(wrong, 0).sum() + smoothing) / (np.maximum(-wrong, 0).sum() + smoothing))


def recall(tokens: Tokens) -> float:
    """Nll per token after a prefix of non-members divided by that without it: the prefix disturbs memorized text.

    Source: Xie et al. 2024, https://arxiv.org/abs/2406.15968.
    Differs from the paper: the nll is at least 1e-6 nats per token.
    """
    return float(max(-tokens.prefixed.mean(), 1e-6) / max(-tokens.logprob.mean(), 1e-6))


def neighbour(tokens: Tokens) -> float:
    """Mean nll per token of slightly changed solutions minus that of the solution itself.

    Source: Mattern et al. 2023, https://arxiv.org/abs/2305.18462.
    Differs from the paper: words are replaced by ones with the same neighbours, not by a masked language model.
    """
    return float(tokens.neighbours.mean() + tokens.logprob.mean())


ATTACKS: Mapping[str, Attack] = {
    "loss": loss,
    "zlib": compressed,
    "mink": mink,
    "minkpp": minkpp,
    "diff": diff,
    "ratio": ratio,
    "wbc": wbc,
    "ez": ez,
    "recall": recall,
    "neighbour": neighbour,
}


NEEDS: Mapping[str, str] = {
    "zlib": "text",
    **dict.fromkeys(("diff", "ratio", "wbc", "ez"), "reference"),
    "recall": "prefixed",
    "neighbour": "neighbours",
}
"""Attack -> the optional field of Tokens that it needs."""

WHY_MISSING: Mapping[str, str] = {
    "text": "the texts of train and val are missing",
    "reference": "needs the base model's scores of train and val",
    "prefixed": "not requested: audit with --attacks recall",
    "neighbours": "not requested: audit with --attacks neighbour",
}
"""Optional field of Tokens -> the note if it is empty."""


def is_applicable(attack: str, tokens: Tokens) -> bool:
    """Whether the field that the attack needs was observed."""
    return attack not in NEEDS or len(getattr(tokens, NEEDS[attack])) > 0


def blind(
    members: Sequence[str],
    others: Sequence[str],
    *,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
    folds: int = 5,
) -> tuple[Float[np.ndarray, " members"], Float[np.ndarray, " others"]]:
    """Membership predicted from the text alone, without the model: naive Bayes on words, cross-fitted.

    An attack that does not beat this shows that the two sets differ in content, not that the model memorized one.

    Args:
        members: texts of members.
        others: texts of the others.
        groups: the group of each text; texts of one group, rephrasings of one question, are in one fold. By default
            each text is a group of its own.
        folds: number of folds.

    Returns:
        The scores of members and of the others.

    Source: Das et al. 2025, https://arxiv.org/abs/2406.16201 (the idea).
    """
    fold_of = [_folds(range(len(t)) if groups is None else groups[i], folds) for i, t in enumerate((members, others))]
    bags = [[set(words(text)) for text in texts] for texts in (members, others)]
    scores = [np.zeros(len(members)), np.zeros(len(others))]
    for fold in range(folds):
        fitted = [
            [b for b, f in zip(bag, own, strict=True) if f != fold] for bag, own in zip(bags, fold_of, strict=True)
        ]
        counts = [Counter(word for bag in group for word in bag) for group in fitted]
        for group, score, own in zip(bags, scores, fold_of, strict=True):
            for i in (i for i, f in enumerate(own) if f == fold):
                score[i] = sum(
                    np.log((counts[0][word] + 1) / (len(fitted[0]) + 2))
                    - np.log((counts[1][word] + 1) / (len(fitted[1]) + 2))
                    for word in sorted(group[i])
                )
    return scores[0], scores[1]


def _folds(groups: Sequence[Hashable], folds: int) -> list[int]:
    """The fold of each text: groups take turns, in the order in which they come."""
    place = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return [place[group] % folds for group in groups]


def _lowest_mean(values: Float[np.ndarray, " tokens"], share: float) -> float:
    count = max(1, int(share * len(values)))
    return float(np.partition(values, count - 1)[:count].mean())
