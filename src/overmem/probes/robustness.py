"""What a harmless change of the question costs."""

from collections.abc import Mapping

import numpy as np

from overmem.probes.estimates import (
    Number,
    exact_mcnemar,
    fraction_mean,
    mean,
    paired_drop,
    proportion,
    ratio,
    ratio_difference,
)
from overmem.probes.rows import greedy_rows, missing, row, samples_or_note, scores_or_note, splits_of
from overmem.records import Measurement, Samples, Snapshot
from overmem.shifts import keeps_answer, original_id

PAIRED = ("accuracy_drop", "mcnemar_p", "pdr", "asp", "limem", "consistency")
POOLED = ("mean_accuracy_drop", "solved_always", "consistency_of_all")


def robustness(snapshot: Snapshot, *, base: Snapshot | None = None) -> list[Measurement]:
    """Greedy accuracy lost, answers changed and nll gained by each shift, paired on the same questions.

    On every split `<origin>+<shift>`, over the questions that lie in both:
    `accuracy_drop`: accuracy before minus after (positive: the shift costs). `mcnemar_p`: exact, two-sided.
    `pdr`: performance drop rate, 1 - after/before. `asp`: average success on pairs, the share solved both ways.
    `limem`: accuracy x (1 - share still solved), which is the share that is solved before the shift only.
    `consistency`: share of pairs with one and the same answer, where the shift keeps the answer; an answer that could
    not be read agrees with nothing. `nll_rise`: nats per token of the reference solution, after minus before.
    On the origin, over all its shifts: `mean_accuracy_drop` (a question's drops averaged first), `solved_always`: share
    solved in every form, `consistency_of_all`: share with one answer in every form that keeps it.

    Source: PDR: Zhu et al. 2023, https://arxiv.org/abs/2306.04528; ASP: Wang et al. 2024; LiMem: Xie et al. 2024,
    https://arxiv.org/abs/2410.23123.
    """
    pairs: dict[str, list[str]] = {}
    for split in splits_of(snapshot):
        origin, plus, shift = split.partition("+")
        if plus:
            pairs.setdefault(origin, []).append(shift)
    if not pairs:
        names = (*PAIRED, "nll_rise", *POOLED)
        return missing(snapshot, "test", "robustness", names, "no shifted split was observed")
    rows = []
    for origin, shifts in pairs.items():
        for shift in shifts:
            rows += _paired(snapshot, origin, shift)
            rows.append(
                row(snapshot, f"{origin}+{shift}", "robustness", "nll_rise", _nll_rise(snapshot, origin, shift))
            )
        rows += _pooled(snapshot, origin, shifts)
    return rows


def _paired(snapshot: Snapshot, origin: str, shift: str) -> list[Measurement]:
    split = f"{origin}+{shift}"
    before, after = samples_or_note(snapshot, origin), samples_or_note(snapshot, split)
    if isinstance(after, str):
        return missing(snapshot, split, "robustness", PAIRED, after)
    if isinstance(before, str):
        return missing(snapshot, split, "robustness", PAIRED, f"{origin}: {before}")
    old, new = greedy_rows(before), _by_origin(after, shift)
    both = [name for name in old if name in new]
    if not both:
        return missing(snapshot, split, "robustness", PAIRED, f"no greedy completion is paired with one of {origin}")
    note = "" if len(both) == len(new) else f"{len(new) - len(both)} without an original left out"
    was = np.array([bool(before.correct[old[name]]) for name in both])
    now = np.array([bool(after.correct[new[name]]) for name in both])
    same = [bool(before.answer[old[n]]) and before.answer[old[n]] == after.answer[new[n]] for n in both]
    numbers = {
        "accuracy_drop": paired_drop(was, now, note),
        "mcnemar_p": exact_mcnemar(was, now),
        "pdr": _rate_of_drop(was, now, note),
        "asp": proportion(int((was & now).sum()), len(both), note),
        "limem": proportion(int((was & ~now).sum()), len(both), note),
        "consistency": proportion(sum(same), len(same), note)
        if keeps_answer(shift)
        else Number(None, n=len(same), note="this shift changes the answer"),
    }
    return [row(snapshot, split, "robustness", metric, number) for metric, number in numbers.items()]


def _by_origin(samples: Samples, shift: str) -> dict[str, int]:
    return {original_id(name, shift): at for name, at in greedy_rows(samples).items()}


def _rate_of_drop(was: np.ndarray, now: np.ndarray, note: str) -> Number:
    if not was.any():
        return Number(None, n=len(was), note="no question was solved before the shift")
    kept = ratio(now.astype(np.float64), was.astype(np.float64), note)
    if kept.value is None or kept.low is None or kept.high is None:
        return Number(None if kept.value is None else 1 - kept.value, n=kept.n, note=kept.note)
    return Number(1 - kept.value, kept.stderr, 1 - kept.high, 1 - kept.low, kept.n, kept.note)


def _nll_rise(snapshot: Snapshot, origin: str, shift: str) -> Number:
    before, after = scores_or_note(snapshot, origin), scores_or_note(snapshot, f"{origin}+{shift}")
    if isinstance(after, str):
        return Number(None, note=after)
    if isinstance(before, str):
        return Number(None, note=f"{origin}: {before}")
    old = {name: at for at, name in enumerate(before.example_ids)}
    new = {original_id(name, shift): at for at, name in enumerate(after.example_ids)}
    both = sorted(name for name in old if name in new)
    if not both:
        return Number(None, note=f"no example is paired with one of {origin}")
    a, b = [new[name] for name in both], [old[name] for name in both]
    now, was = after.token_counts[a].astype(np.float64), before.token_counts[b].astype(np.float64)
    return ratio_difference(after.nll_sums[a], now, before.nll_sums[b], was)


def _pooled(snapshot: Snapshot, origin: str, shifts: list[str]) -> list[Measurement]:
    before = samples_or_note(snapshot, origin)
    found = {shift: samples_or_note(snapshot, f"{origin}+{shift}") for shift in shifts}
    forms = {shift: samples for shift, samples in found.items() if not isinstance(samples, str)}
    if isinstance(before, str) or not forms:
        reason = before if isinstance(before, str) else "no shifted split was sampled"
        return missing(snapshot, origin, "robustness", POOLED, reason)
    old, new = greedy_rows(before), {shift: _by_origin(samples, shift) for shift, samples in forms.items()}
    note = f"over {', '.join(forms)}"
    drops, always, agree = [], [], []
    for name, at in old.items():
        told = {shift: at_new[name] for shift, at_new in new.items() if name in at_new}
        if not told:
            continue
        solved = [bool(forms[shift].correct[i]) for shift, i in told.items()]
        drops.append(float(before.correct[at]) - float(np.mean(solved)))
        always.append(bool(before.correct[at]) and all(solved))
        agree.append(_one_answer(before.answer[at], forms, told))
    numbers = (
        mean(np.array(drops, dtype=np.float64), note),
        fraction_mean(np.array(always, dtype=np.float64), note),
        fraction_mean(np.array(agree, dtype=np.float64), note),
    )
    return [row(snapshot, origin, "robustness", metric, n) for metric, n in zip(POOLED, numbers, strict=True)]


def _one_answer(answer: str, forms: Mapping[str, Samples], told: Mapping[str, int]) -> bool:
    answers = {forms[shift].answer[i] for shift, i in told.items() if keeps_answer(shift)}
    return bool(answer) and answers <= {answer}
