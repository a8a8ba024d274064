"""Calibration: whether a checkpoint's confidence matches how often it is right."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from overmem.probes.paired import both_sampled, most_sampled, shared
from overmem.probes.probe import Comparison
from overmem.probes.rows import (
    by_id,
    drawn_questions,
    greedy_rows,
    mean_logprobs,
    missing,
    row,
    samples_or_note,
    scores_or_note,
    splits_of,
)
from overmem.probes.temperature import BEYOND, at_end, lowest, weights_at
from overmem.records import Estimate, Measurement, Samples, Scores, Snapshot
from overmem.statistics import fraction, mean, p_of_interval, ratio
from overmem.statistics.reliability import (
    Claims,
    bins_of,
    calibration_difference,
    calibration_error,
    mean_absolute_gap,
    smooth_calibration_error,
)

ERRORS = ("overconfidence", "ece", "ece_l1", "smooth_ece", "brier")
RECOVERY = ("recovery_temperature", "recovered_nll")
LEVELS = ("token", "completion", "answer")


def calibration(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Calibration errors at three levels, and the nll that temperature scaling recovers, on every split.

    Levels: `token_*`: the largest next-token probability, right if the label is the argmax. `completion_*`: the
    geometric mean probability of the greedy completion's tokens, right if its answer is. `answer_*`: the share of a
    question's draws (all temperatures) that agree with the most common answer, right if that answer is.
    Errors: `overconfidence`: mean confidence minus share right. `ece`: root mean square gap over equal-mass bins,
    debiased. `ece_l1`: mean absolute gap, debiased, with a conservative interval. `smooth_ece`: without bins. `brier`:
    mean squared difference of confidence and correctness. `confidence_bin`, `accuracy_bin`: the reliability curve.
    `recovery_temperature`: the T that minimises the nll on `val`. `recovered_nll`: nll at T = 1 minus nll at that T, in
    nats per token; negative if val's temperature does not help.

    Source: Kumar et al. 2019, https://arxiv.org/abs/1909.10155; Blasiok and Nakkiran 2023,
    https://arxiv.org/abs/2309.12236; Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    rows, temperature = [], _val_temperature(snapshot)
    for split in splits_of(snapshot):
        scores, samples = scores_or_note(snapshot, split), samples_or_note(snapshot, split)
        by_level: dict[str, Claims | str] = {
            "token": scores if isinstance(scores, str) else token_claims(scores),
            "completion": samples if isinstance(samples, str) else completion_claims(samples),
            "answer": samples if isinstance(samples, str) else answer_claims(samples),
        }
        for level, claims in by_level.items():
            rows += _errors(snapshot, split, level, claims)
        rows += _recovery(snapshot, split, scores, temperature)
    return rows


def miscalibration(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """Increase of the calibration error on test, of tokens and of answers.

    The confidence of an answer is the agreement of sampled completions, or without these that of the greedy completion.
    """
    scores, scores_before = (scores_or_note(snapshot, "test") for snapshot in (bad, good))
    if isinstance(scores, Scores) and isinstance(scores_before, Scores):
        ids = shared(scores.example_ids, scores_before.example_ids)
        yield from _calibration_worsened("tokens", token_claims(scores, ids), token_claims(scores_before, ids))
    if (sampled := both_sampled(bad, good, "test")) is None:
        return
    repeated = [[name for name, q in most_sampled(samples).items() if len(q.rows) > 1] for samples in sampled]
    name, claims_of, ids = "answers", answer_claims, shared(*repeated)
    if not ids:
        name, claims_of = "completions", completion_claims
        ids = shared(*(list(greedy_rows(samples)) for samples in sampled))
    late, early = (claims_of(samples, ids) for samples in sampled)
    yield from _calibration_worsened(name, late, early)


def _calibration_worsened(name: str, claims: Claims | str, before: Claims | str) -> Iterator[Comparison]:
    if not isinstance(claims, str) and not isinstance(before, str):
        increase = calibration_difference(claims, before)
        sentence = "its confidence is {} further from how often it is right"
        yield Comparison(f"calibration ({name})", increase, p_of_interval(increase), sentence)


def _errors(snapshot: Snapshot, split: str, level: str, claims: Claims | str) -> list[Measurement]:
    if isinstance(claims, str):
        return missing(snapshot, split, "calibration", [f"{level}_{e}" for e in ERRORS], claims)
    if not np.isfinite(claims.confidence).all():
        return missing(snapshot, split, "calibration", [f"{level}_{e}" for e in ERRORS], "a confidence is not finite")
    residual, root = claims.confidence - claims.correct, calibration_error(claims)
    estimates = {
        "overconfidence": claims.mean(residual),
        "ece": root,
        "ece_l1": mean_absolute_gap(claims, root=root),
        "smooth_ece": smooth_calibration_error(claims, seed=(split, level)),
        "brier": fraction(claims.per_cluster(residual**2), claims.per_cluster(np.ones(len(residual)))),
    }
    rows = [row(snapshot, split, "calibration", f"{level}_{metric}", value) for metric, value in estimates.items()]
    of_claim = bins_of(claims).of_claim
    for k in range(int(of_claim.max()) + 1):
        in_bin = (of_claim == k).astype(np.float64)
        size = claims.per_cluster(in_bin)
        for name, values in (("confidence", claims.confidence), ("accuracy", claims.correct)):
            share = fraction(claims.per_cluster(in_bin * values), size)
            rows.append(row(snapshot, split, "calibration", f"{level}_{name}_bin", share, bin=k))
    return rows


def token_claims(scores: Scores, ids: Sequence[str] | None = None) -> Claims:
    """The largest next-token probability at each solution token, right if the label is the argmax, by example.

    Args:
        scores: the scores of a split.
        ids: the examples to use, all of which were scored; by default all.
    """
    row_of = {name: index for index, name in enumerate(scores.example_ids)}
    rows = [row_of[name] for name in sorted(row_of if ids is None else ids)]
    spans = [np.arange(scores.offsets[i], scores.offsets[i + 1]) for i in rows]
    tokens = np.concatenate([*spans, np.empty(0, np.int64)])
    cluster = np.repeat(np.arange(len(rows)), [len(span) for span in spans])
    confidence = np.exp(scores.top1_logprob[tokens].astype(np.float64))
    return Claims(confidence, scores.is_argmax[tokens].astype(bool), cluster)


def completion_claims(samples: Samples, ids: Sequence[str] | None = None) -> Claims | str:
    """Each greedy completion's geometric mean token probability, right if its answer is; or why there is none."""
    greedy = greedy_rows(samples)
    rows = [greedy[name] for name in (greedy if ids is None else ids)]
    if not rows:
        return "no greedy completion"
    confidence = np.exp(mean_logprobs(samples, rows))
    return Claims(confidence, samples.correct[rows].astype(bool), np.arange(len(rows)))


def answer_claims(samples: Samples, ids: Sequence[str] | None = None) -> Claims | str:
    """The agreement of the draws of each question with at least two, right if the most common answer is.

    The agreement of a question without any answer is 0.
    """
    draws: dict[str, list[int]] = {}
    for questions in drawn_questions(samples).values():
        for question in questions:
            draws.setdefault(question.id, []).extend(question.rows)
    confidence, correct = [], []
    for name, rows in sorted(draws.items()):
        if len(rows) < 2 or (ids is not None and name not in ids):
            continue
        votes = Counter(samples.answer[i] for i in rows if samples.answer[i])
        top = max(votes.values(), default=0)
        right = {samples.answer[i]: bool(samples.correct[i]) for i in rows}
        leaders = sorted(answer for answer, count in votes.items() if count == top)
        confidence.append(top / len(rows))
        correct.append(bool(leaders) and right[leaders[0]])
    if not confidence:
        return "no question with two draws"
    return Claims(np.array(confidence, dtype=np.float64), np.array(correct, dtype=bool), np.arange(len(correct)))


def _val_temperature(snapshot: Snapshot) -> float | str:
    """The temperature with the lowest nll on val, or why there is none."""
    scores = scores_or_note(snapshot, "val")
    if isinstance(scores, str):
        return f"no temperature was chosen: val: {scores}"
    curve = scores.tempered_nll.astype(np.float64).sum(0)
    return (
        float(lowest(curve[None])[0][0])
        if np.isfinite(curve).all()
        else "no temperature was chosen: val: nll is not finite"
    )


def _recovery(snapshot: Snapshot, split: str, scores: Scores | str, temperature: float | str) -> list[Measurement]:
    reason = scores if isinstance(scores, str) else temperature
    if isinstance(scores, str) or isinstance(reason, str) or isinstance(temperature, str):
        return missing(snapshot, split, "calibration", RECOVERY, str(reason))
    order = by_id(scores.example_ids)
    grid = scores.tempered_nll[order].astype(np.float64)
    recovered = grid @ weights_at(1.0) - grid @ weights_at(temperature)
    estimates = (
        Estimate(temperature, n=len(order), note="chosen on val") if split != "val" else _best_temperature(grid),
        ratio(recovered, scores.token_counts[order].astype(np.float64)),
    )
    return [row(snapshot, split, "calibration", m, estimate) for m, estimate in zip(RECOVERY, estimates, strict=True)]


def _best_temperature(grid: Float[np.ndarray, "examples temperatures"]) -> Estimate:
    """The temperature with the lowest nll, with a jackknife interval of its logarithm."""
    best = float(lowest(grid.sum(0)[None])[0][0])
    if at_end(best):
        return Estimate(best, n=len(grid), note=BEYOND)
    if len(grid) < 2:
        return Estimate(best, n=len(grid), note="one example: no interval")
    leave_one_out = np.log(lowest(grid.sum(0) - grid)[0])
    logs = mean(np.log(best) - (len(grid) - 1) * (leave_one_out - np.log(best)))
    if logs.stderr is None:
        return Estimate(best, n=len(grid), note=logs.note)
    low, high = best * np.exp(-1.96 * logs.stderr), best * np.exp(1.96 * logs.stderr)
    return Estimate(best, float(low), float(high), len(grid), stderr=best * logs.stderr)
