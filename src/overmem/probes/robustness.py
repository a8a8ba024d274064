"""What a harmless change of the question costs."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from overmem.probes.paired import accuracy_lost, greedy_correct
from overmem.probes.probe import Comparison
from overmem.probes.rows import greedy_rows, missing, row, samples_or_note, scores_or_note, splits_of
from overmem.records import Estimate, Measurement, Samples, Snapshot, SplitName
from overmem.shifts import keeps_answer, original_id, shift_of
from overmem.statistics import (
    fraction_mean,
    mcnemar,
    mean_difference,
    p_of_interval,
    ratio,
    ratio_difference,
    share,
    tango,
)

PAIRED = ("accuracy_drop", "mcnemar_p", "pdr", "asp", "limem", "consistency")
WORDINGS = ("wordings_accuracy_drop", "wordings_solved_always", "wordings_consistency")
POOLED = ("mean_accuracy_drop", "solved_always", "consistency_of_all")


def robustness(
    snapshot: Snapshot, *, base: Snapshot | None = None, minimum: Snapshot | None = None
) -> list[Measurement]:
    """Greedy accuracy lost, answers changed and nll gained by each shift, paired on the same questions.

    On every split `<origin>+<shift>`, over the questions that lie in both:
    `accuracy_drop`: accuracy before minus after (positive: the shift costs). `mcnemar_p`: exact, two-sided.
    `pdr`: performance drop rate, 1 - after/before. `asp`: average success on pairs, the share solved both ways.
    `limem`: accuracy x (1 - share still solved), which is the share that is solved before the shift only.
    `consistency`: share of pairs with one and the same answer, of those whose right answer is the same; an answer that
    could not be read agrees with nothing. `nll_rise`: nats per token of the reference solution, after minus before.
    Where a shift has several wordings, on its first split and over all of them: `wordings_accuracy_drop` (a question's
    drops averaged first), `wordings_solved_always`: share solved in every wording, and `wordings_consistency`: chance
    that two wordings of one question get the same answer.
    On the origin, over all its shifts: `mean_accuracy_drop`, `solved_always`: share solved in every form, and
    `consistency_of_all`: share with one answer in every form that keeps it.

    Source: PDR: Zhu et al. 2023, https://arxiv.org/abs/2306.04528; ASP: Wang et al. 2024; LiMem: Xie et al. 2024,
    https://arxiv.org/abs/2410.23123.
    """
    pairs: dict[str, list[str]] = {}
    for split in splits_of(snapshot):
        name = SplitName.parse(split)
        if name.shift:
            pairs.setdefault(name.base, []).append(name.shift_variant)
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
        for shift in shifts:
            wordings = [other for other in shifts if shift_of(other) == shift]
            if len(wordings) > 1:
                rows += _over(snapshot, origin, wordings, f"{origin}+{shift}", WORDINGS)
        rows += _over(snapshot, origin, shifts, origin, POOLED)
    return rows


def robustness_lost(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    """`robustness (<shift>)`: greedy accuracy lost under each shift of test, with Tango's interval and McNemar's p.

    A shift with several wordings is the mean over a question's wordings, by Student's t.
    """
    forms: dict[str, list[str]] = {}
    for split in sorted(good.samples):
        name = SplitName.parse(split)
        if name.base == "test" and name.shift and split in bad.samples:
            forms.setdefault(name.shift, []).append(split)
    for shift, splits in forms.items():
        if len(splits) == 1:
            worse, p = accuracy_lost(good.samples[splits[0]], bad.samples[splits[0]])
        else:
            worse = _lost_over_wordings(good, bad, splits)
            p = p_of_interval(worse)
        yield Comparison(f"robustness ({shift})", worse, p, "accuracy on rephrased test questions is {} lower")


def _lost_over_wordings(good: Snapshot, bad: Snapshot, splits: Sequence[str]) -> Estimate:
    lost: dict[str, list[float]] = {}
    for split in splits:
        left, right = greedy_correct(good.samples[split]), greedy_correct(bad.samples[split])
        for name in left:
            if name in right:
                question = original_id(name, SplitName.parse(split).shift_variant)
                lost.setdefault(question, []).append(float(left[name]) - float(right[name]))
    means = np.array([np.mean(each) for _, each in sorted(lost.items())], dtype=np.float64)
    return mean_difference(means, f"{len(splits)} wordings of a question")


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
    kept = _keepers(snapshot, origin, shift, both)
    same = [_agree(_reply(before, old[n]), _reply(after, new[n])) for n in kept]
    numbers = {
        "accuracy_drop": tango(was, now, note),
        "mcnemar_p": _mcnemar(was, now),
        "pdr": _rate_of_drop(was, now, note),
        "asp": share(int((was & now).sum()), len(both), note),
        "limem": share(int((was & ~now).sum()), len(both), note),
        "consistency": share(sum(same), len(same), note if same else "this shift changes the answer"),
    }
    return [row(snapshot, split, "robustness", metric, number) for metric, number in numbers.items()]


def _by_origin(samples: Samples, shift: str) -> dict[str, int]:
    return {original_id(name, shift): at for name, at in greedy_rows(samples).items()}


def _keepers(snapshot: Snapshot, origin: str, shift: str, names: list[str]) -> list[str]:
    """Of these examples, the ones whose right answer the shift keeps.

    By the reference answers where both texts were kept (a changed name may be the answer), else by the shift.
    """
    old = {e.id: e for e in snapshot.examples.get(origin, ())}
    new = {original_id(e.id, shift): e for e in snapshot.examples.get(f"{origin}+{shift}", ())}
    kept = []
    for name in names:
        has_both = name in old and name in new
        if old[name].answer == new[name].answer if has_both else keeps_answer(shift):
            kept.append(name)
    return kept


def _reply(samples: Samples, row: int) -> tuple[str, bool]:
    """The answer of one completion, and whether it is right."""
    return samples.answer[row], bool(samples.correct[row])


def _agree(first: tuple[str, bool], second: tuple[str, bool]) -> bool:
    """Whether two replies to questions with the same right answer are equal.

    Two right ones are, however they are written; wrong ones are compared as the grader wrote them.
    """
    (answer, is_right), (other_answer, other_is_right) = first, second
    return (is_right and other_is_right) or answer == other_answer != ""


def _rate_of_drop(was: Bool[np.ndarray, " examples"], now: Bool[np.ndarray, " examples"], note: str) -> Estimate:
    if not was.any():
        return Estimate(None, n=len(was), note="no question was solved before the shift")
    kept = ratio(now.astype(np.float64), was.astype(np.float64), note)
    if kept.value is None or kept.low is None or kept.high is None:
        return Estimate(None if kept.value is None else 1 - kept.value, n=kept.n, note=kept.note)
    if kept.stderr == 0:  # no answer that was right changed, or none is right now: seen by the drop alone
        drop, solved = tango(was, now), float(was.mean())
        if drop.low is None or drop.high is None:
            return Estimate(1 - kept.value, n=kept.n, note=kept.note)
        low, high = max(drop.low / solved, -1.0 / solved), min(1.0, drop.high / solved)
        return Estimate(1 - kept.value, low, high, kept.n, kept.note)
    return Estimate(1 - kept.value, 1 - kept.high, min(1.0, 1 - kept.low), kept.n, kept.note, kept.stderr)


def _mcnemar(was: Bool[np.ndarray, " examples"], now: Bool[np.ndarray, " examples"]) -> Estimate:
    return Estimate(
        mcnemar(was, now), n=len(was), note=f"{int((was & ~now).sum())} lost, {int((~was & now).sum())} won"
    )


def _nll_rise(snapshot: Snapshot, origin: str, shift: str) -> Estimate:
    before, after = scores_or_note(snapshot, origin), scores_or_note(snapshot, f"{origin}+{shift}")
    if isinstance(after, str):
        return Estimate(None, note=after)
    if isinstance(before, str):
        return Estimate(None, note=f"{origin}: {before}")
    old = {name: at for at, name in enumerate(before.example_ids)}
    new = {original_id(name, shift): at for at, name in enumerate(after.example_ids)}
    both = sorted(name for name in old if name in new)
    if not both:
        return Estimate(None, note=f"no example is paired with one of {origin}")
    a, b = [new[name] for name in both], [old[name] for name in both]
    now, was = after.token_counts[a].astype(np.float64), before.token_counts[b].astype(np.float64)
    return ratio_difference(after.nll_sums[a], now, before.nll_sums[b], was)


def _over(
    snapshot: Snapshot, origin: str, shifts: Sequence[str], split: str, metrics: tuple[str, str, str]
) -> list[Measurement]:
    """Drop, solved always and consistency over several forms of each question, the question being the cluster."""
    before = samples_or_note(snapshot, origin)
    samples_of = {shift: samples_or_note(snapshot, f"{origin}+{shift}") for shift in shifts}
    forms = {shift: samples for shift, samples in samples_of.items() if not isinstance(samples, str)}
    if isinstance(before, str) or not forms:
        reason = before if isinstance(before, str) else "no shifted split was sampled"
        return missing(snapshot, split, "robustness", metrics, reason)
    old, new = greedy_rows(before), {shift: _by_origin(samples, shift) for shift, samples in forms.items()}
    kept = {shift: set(_keepers(snapshot, origin, shift, list(at))) for shift, at in new.items()}
    note = f"over {', '.join(forms)}"
    drops, always, agree = [], [], []
    for name, at in old.items():
        rewordings = {shift: places[name] for shift, places in new.items() if name in places}
        if not rewordings:
            continue
        solved = [bool(forms[shift].correct[i]) for shift, i in rewordings.items()]
        drops.append(float(before.correct[at]) - float(np.mean(solved)))
        always.append(bool(before.correct[at]) and all(solved))
        replies = [_reply(forms[s], i) for s, i in rewordings.items() if name in kept[s]]
        if metrics is POOLED and replies:
            agree.append(float(all(_agree(_reply(before, at), reply) for reply in replies)))
        elif metrics is not POOLED and len(replies) > 1:
            pairs = [_agree(a, b) for a, b in combinations(replies, 2)]
            agree.append(float(np.mean(pairs)))
    numbers = (
        mean_difference(np.array(drops, dtype=np.float64), note),
        fraction_mean(np.array(always, dtype=np.float64), note),
        fraction_mean(np.array(agree, dtype=np.float64), note if agree else "no question kept its answer in two forms"),
    )
    return [row(snapshot, split, "robustness", metric, n) for metric, n in zip(metrics, numbers, strict=True)]
