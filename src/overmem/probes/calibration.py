"""Whether a checkpoint is as often right as it is sure."""

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
    """Confidence against correctness at three levels, and how much nll one temperature wins back, on every split.

    Levels: `token_*`: the largest next-token probability, right where the label is the argmax. `completion_*`: the
    geometric mean probability of the greedy completion's tokens, right where its answer is. `answer_*`: the share of a
    question's draws (all temperatures) that agree with the most common answer, right where that answer is.
    Errors: `overconfidence`: mean confidence minus share right. `ece`: root mean square gap over equal-mass bins,
    debiased. `ece_l1`: mean absolute gap, debiased, its interval only a bound. `smooth_ece`: without bins. `brier`:
    mean squared distance of confidence and being right. `confidence_bin`, `accuracy_bin`: reliability curve, by bin.
    `recovery_temperature`: the T that minimises the nll on `val`. `recovered_nll`: nll at 1 minus nll at that T, in
    nats per token; below 0 where val's temperature does not help.

    Source: Kumar et al. 2019, https://arxiv.org/abs/1909.10155; Blasiok and Nakkiran 2023,
    https://arxiv.org/abs/2309.12236; Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    rows, temperature = [], _chosen_temperature(snapshot)
    for split in splits_of(snapshot):
        scores, samples = scores_or_note(snapshot, split), samples_or_note(snapshot, split)
        found: dict[str, Claims | str] = {
            "token": scores if isinstance(scores, str) else judged_tokens(scores),
            "completion": samples if isinstance(samples, str) else judged_completions(samples),
            "answer": samples if isinstance(samples, str) else judged_answers(samples),
        }
        for level, judged in found.items():
            rows += _errors(snapshot, split, level, judged)
        rows += _recovery(snapshot, split, scores, temperature)
    return rows


def miscalibration(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """Calibration error gained on test, of tokens and of answers.

    Answers are judged by the agreement of sampled completions, without those by the greedy completion.
    """
    scores, scores_before = (scores_or_note(snapshot, "test") for snapshot in (bad, good))
    if isinstance(scores, Scores) and isinstance(scores_before, Scores):
        both = shared(scores.example_ids, scores_before.example_ids)
        yield from _worse("tokens", judged_tokens(scores, both), judged_tokens(scores_before, both))
    if (sampled := both_sampled(bad, good, "test")) is None:
        return
    several = [[name for name, q in most_sampled(side).items() if len(q.rows) > 1] for side in sampled]
    name, judge, both = "answers", judged_answers, shared(*several)
    if not both:
        name, judge = "completions", judged_completions
        both = shared(*(list(greedy_rows(side)) for side in sampled))
    late, early = (judge(side, both) for side in sampled)
    yield from _worse(name, late, early)


def _worse(name: str, judged: Claims | str, before: Claims | str) -> Iterator[Comparison]:
    if not isinstance(judged, str) and not isinstance(before, str):
        gained = calibration_difference(judged, before)
        sentence = "its confidence is {} further from how often it is right"
        yield Comparison(f"calibration ({name})", gained, p_of_interval(gained), sentence)


def _errors(snapshot: Snapshot, split: str, level: str, judged: Claims | str) -> list[Measurement]:
    if isinstance(judged, str):
        return missing(snapshot, split, "calibration", [f"{level}_{e}" for e in ERRORS], judged)
    if not np.isfinite(judged.confidence).all():
        return missing(snapshot, split, "calibration", [f"{level}_{e}" for e in ERRORS], "a confidence is not finite")
    distance = judged.confidence - judged.correct
    numbers = {
        "overconfidence": judged.mean(distance),
        "ece": calibration_error(judged),
        "ece_l1": mean_absolute_gap(judged),
        "smooth_ece": smooth_calibration_error(judged, seed=(split, level)),
        "brier": fraction(judged.per_cluster(distance**2), judged.per_cluster(np.ones(len(distance)))),
    }
    rows = [row(snapshot, split, "calibration", f"{level}_{metric}", number) for metric, number in numbers.items()]
    of_claim = bins_of(judged).of_claim
    for k in range(int(of_claim.max()) + 1):
        inside = (of_claim == k).astype(np.float64)
        size = judged.per_cluster(inside)
        for name, values in (("confidence", judged.confidence), ("accuracy", judged.correct)):
            share = fraction(judged.per_cluster(inside * values), size)
            rows.append(row(snapshot, split, "calibration", f"{level}_{name}_bin", share, bin=k))
    return rows


def judged_tokens(scores: Scores, only: Sequence[str] | None = None) -> Claims:
    """Each solution token's largest next-token probability, right where the label is the argmax, by example.

    Clusters are in the order of the ids; `only` these examples, all of which were scored.
    """
    places = {name: at for at, name in enumerate(scores.example_ids)}
    rows = [places[name] for name in sorted(places if only is None else only)]
    spans = [np.arange(scores.offsets[at], scores.offsets[at + 1]) for at in rows]
    take = np.concatenate([*spans, np.empty(0, np.int64)])
    cluster = np.repeat(np.arange(len(rows)), [len(span) for span in spans])
    confidence = np.exp(scores.top1_logprob[take].astype(np.float64))
    return Claims(confidence, scores.is_argmax[take].astype(bool), cluster)


def judged_completions(samples: Samples, only: Sequence[str] | None = None) -> Claims | str:
    """Each greedy completion's geometric mean token probability, right where its answer is; or why there is none."""
    greedy = greedy_rows(samples)
    rows = [greedy[name] for name in (greedy if only is None else only)]
    if not rows:
        return "no greedy completion"
    confidence = np.exp(mean_logprobs(samples, rows))
    return Claims(confidence, samples.correct[rows].astype(bool), np.arange(len(rows)))


def judged_answers(samples: Samples, only: Sequence[str] | None = None) -> Claims | str:
    """Agreement of the draws of each question with at least two, right where the most common answer is.

    A question without any answer agrees on nothing.
    """
    draws: dict[str, list[int]] = {}
    for questions in drawn_questions(samples).values():
        for question in questions:
            draws.setdefault(question.id, []).extend(question.rows)
    confidence, correct = [], []
    for name, rows in sorted(draws.items()):
        if len(rows) < 2 or (only is not None and name not in only):
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


def _chosen_temperature(snapshot: Snapshot) -> float | str:
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
    won = grid @ weights_at(1.0) - grid @ weights_at(temperature)
    numbers = (
        Estimate(temperature, n=len(order), note="chosen on val") if split != "val" else _temperature(grid),
        ratio(won, scores.token_counts[order].astype(np.float64)),
    )
    return [row(snapshot, split, "calibration", m, number) for m, number in zip(RECOVERY, numbers, strict=True)]


def _temperature(grid: Float[np.ndarray, "examples temperatures"]) -> Estimate:
    """The best temperature with a jackknife interval on its logarithm."""
    best = float(lowest(grid.sum(0)[None])[0][0])
    if at_end(best):
        return Estimate(best, n=len(grid), note=BEYOND)
    if len(grid) < 2:
        return Estimate(best, n=len(grid), note="one example: no interval")
    without = np.log(lowest(grid.sum(0) - grid)[0])
    logs = mean(np.log(best) - (len(grid) - 1) * (without - np.log(best)))
    if logs.stderr is None:
        return Estimate(best, n=len(grid), note=logs.note)
    low, high = best * np.exp(-1.96 * logs.stderr), best * np.exp(1.96 * logs.stderr)
    return Estimate(best, float(low), float(high), len(grid), stderr=best * logs.stderr)
