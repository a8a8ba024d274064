"""What over-memorization costs at comparable accuracy: each paired against the recommended checkpoint."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from overmem import statistics
from overmem.probes.attacks import Tokens
from overmem.probes.calibration import judged_answers, judged_completions, judged_tokens
from overmem.probes.draws import best_of, pass_at
from overmem.probes.membership import attacked, tokens_of
from overmem.probes.memorization import extraction_strength
from overmem.probes.rows import drawn_questions, greedy_rows, mean_logprobs, samples_or_note, scores_or_note
from overmem.probes.variety import chain, difference_chance, vendi, words
from overmem.records import Consequence, Estimate, Samples, Scores, Snapshot
from overmem.shifts import family, original_id
from overmem.statistics import mean, mean_difference, mean_of_independent, p_of_interval, tango
from overmem.statistics.reliability import Judged, calibration_difference
from overmem.statistics.roc import auroc_difference

Comparison = tuple[str, Estimate, float]
"""Name, how much worse the late checkpoint is, two-sided p that it is not."""


def consequences(
    recommended: Snapshot, late: Snapshot, *, base: Snapshot | None = None, alpha: float = 0.05
) -> tuple[Consequence, ...]:
    """Every cost that the observations allow, on the same examples, p Holm-adjusted over all; positive is worse.

    `robustness (<shift>)`, `ood-<name>`: greedy accuracy lost on those questions: Tango's interval, McNemar's exact
    test (a shift with several tellings: a question's mean over them, Student's t). `ood (mean of sets)`: the
    unweighted mean, the sets being given. `pass@k`, `best-of-k`: of k draws. `diversity (texts)`: effective number of
    different texts lost. `diversity (solutions)`: chance lost that two right draws calculate differently. `calibration
    (tokens)`, and `(answers)` by agreement of draws, without draws `(completions)`: calibration error gained.
    `membership`: AUROC gained (`ratio` against the base model, else `loss`), DeLong's paired variance. `extraction`:
    gain in the share of a training solution that needs no prefix.
    """
    found = [cost for kind in KINDS for cost in kind(recommended, late, base) if cost[1].value is not None]
    adjusted = statistics.holm([p for _, _, p in found])
    return tuple(
        Consequence(
            name,
            late.checkpoint.name,
            worse,
            p,
            p is not None and p < alpha and worse.value is not None and worse.value > 0,
        )
        for (name, worse, _), p in zip(found, adjusted, strict=True)
    )


def _robustness(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    forms: dict[str, list[str]] = {}
    for split in sorted(good.samples):
        if split.startswith("test+") and split in bad.samples:
            forms.setdefault(family(split.removeprefix("test+")), []).append(split)
    for shift, splits in forms.items():
        if len(splits) == 1:
            yield _accuracy_lost(f"robustness ({shift})", good.samples[splits[0]], bad.samples[splits[0]])
            continue
        lost: dict[str, list[float]] = {}
        for split in splits:
            left, right = _greedy(good.samples[split]), _greedy(bad.samples[split])
            for name in left:
                if name in right:
                    of = original_id(name, split.removeprefix("test+"))
                    lost.setdefault(of, []).append(float(left[name]) - float(right[name]))
        means = np.array([np.mean(each) for _, each in sorted(lost.items())], dtype=np.float64)
        yield _mean_lost(f"robustness ({shift})", means, f"{len(splits)} wordings of a question")


def _ood(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    splits = [split for split in sorted(good.samples) if split.startswith("ood-") and split in bad.samples]
    each = [_accuracy_lost(split, good.samples[split], bad.samples[split]) for split in splits]
    yield from each
    known = [worse for _, worse, _ in each if worse.value is not None]
    if len(known) > 1:
        together = mean_of_independent(known, f"mean of {len(known)} sets")
        yield "ood (mean of sets)", together, p_of_interval(together)


def _accuracy_lost(name: str, good: Samples, bad: Samples) -> Comparison:
    left, right = _greedy(good), _greedy(bad)
    shared = [i for i in left if i in right]
    before, after = np.array([left[i] for i in shared], bool), np.array([right[i] for i in shared], bool)
    return name, tango(before, after), statistics.mcnemar(before, after)


def _greedy(samples: Samples) -> dict[str, bool]:
    return {name: bool(samples.correct[at]) for name, at in greedy_rows(samples).items()}


def _draws(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    tables = [_most_drawn(snapshot) for snapshot in (good, bad)]
    shared = sorted(set(tables[0]) & set(tables[1]))
    k = min((len(table[name][1]) for table in tables for name in shared), default=0)
    if k < 2:
        return
    for what, worth in _WORTHS.items():
        values = [[worth(samples, rows, k) for samples, rows in (t[name] for t in tables)] for name in shared]
        lost = np.array([a - b for a, b in values if a is not None and b is not None], dtype=np.float64)
        yield _mean_lost(what.format(k=k), lost, bounded=what != "diversity (texts)")


def _most_drawn(snapshot: Snapshot) -> dict[str, tuple[Samples, list[int]]]:
    """Question -> where its draws lie, at the temperature with the most of them."""
    samples = samples_or_note(snapshot, "test")
    found = {} if isinstance(samples, str) else drawn_questions(samples)
    if isinstance(samples, str) or not found:
        return {}
    most = max(found, key=lambda t: (sum(len(q.rows) for q in found[t]), -t))
    return {question.id: (samples, list(question.rows)) for question in found[most]}


def _pass(samples: Samples, rows: list[int], k: int) -> float:
    return pass_at(k, len(rows), int(samples.correct[rows].sum()))


def _best(samples: Samples, rows: list[int], k: int) -> float:
    score = mean_logprobs(samples, rows)
    return best_of(k, np.nan_to_num(score, nan=-np.inf), samples.correct[rows].astype(bool))


def _texts(samples: Samples, rows: list[int], k: int) -> float | None:
    return vendi([words(samples.text[i]) for i in rows[:k]])


def _solutions(samples: Samples, rows: list[int], k: int) -> float | None:
    return difference_chance([chain(samples.text[i]) for i in rows if samples.correct[i]])


_WORTHS: Mapping[str, Callable[[Samples, list[int], int], float | None]] = {
    "pass@{k}": _pass,
    "best-of-{k}": _best,
    "diversity (texts)": _texts,
    "diversity (solutions)": _solutions,
}


def _calibration(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    scores, scores_before = (scores_or_note(snapshot, "test") for snapshot in (bad, good))
    if isinstance(scores, Scores) and isinstance(scores_before, Scores):
        shared = _shared(scores.example_ids, scores_before.example_ids)
        yield _miscalibrated("tokens", judged_tokens(scores, shared), judged_tokens(scores_before, shared))
    samples, samples_before = (samples_or_note(snapshot, "test") for snapshot in (bad, good))
    if isinstance(samples, str) or isinstance(samples_before, str):
        return
    drawn, drawn_before = ([name for name, (_, rows) in _most_drawn(s).items() if len(rows) > 1] for s in (bad, good))
    name, judge, shared = "answers", judged_answers, _shared(drawn, drawn_before)
    if not shared:
        name, judge = "completions", judged_completions
        shared = _shared(list(greedy_rows(samples)), list(greedy_rows(samples_before)))
    yield _miscalibrated(name, judge(samples, shared), judge(samples_before, shared))


def _miscalibrated(name: str, judged: Judged | str, before: Judged | str) -> Comparison:
    if isinstance(judged, str) or isinstance(before, str):
        return name, Estimate(None, note=judged if isinstance(judged, str) else str(before)), 1.0
    worse = calibration_difference(judged, before)
    return f"calibration ({name})", worse, p_of_interval(worse)


def _memory(good: Snapshot, bad: Snapshot, base: Snapshot | None) -> Iterator[Comparison]:
    scored = [_tokens(snapshot, base, split) for snapshot in (bad, good) for split in ("train", "val")]
    for attack in ("ratio", "loss"):
        high, low, high_before, low_before = (attacked(attack, tokens) for tokens in scored)
        members, others = _shared(list(high), list(high_before)), _shared(list(low), list(low_before))
        if min(len(members), len(others)) < 2:
            continue
        now = _values(high, members), _values(low, others)
        worse = auroc_difference(*now, _values(high_before, members), _values(low_before, others))
        yield f"membership ({attack})", worse, p_of_interval(worse)
        break
    strengths, before = (_strengths(snapshot) for snapshot in (bad, good))
    ids = _shared(list(strengths), list(before))
    yield _mean_lost("extraction", _values(strengths, ids) - _values(before, ids))


def _tokens(snapshot: Snapshot, base: Snapshot | None, split: str) -> dict[str, Tokens]:
    scores = scores_or_note(snapshot, split)
    return {} if isinstance(scores, str) else tokens_of(snapshot, base, split, scores)


def _values(scores: Mapping[str, float], ids: Sequence[str]) -> Float[np.ndarray, " examples"]:
    return np.array([scores[i] for i in ids], dtype=np.float64)


def _strengths(snapshot: Snapshot) -> dict[str, float]:
    scores = scores_or_note(snapshot, "train")
    if isinstance(scores, str):
        return {}
    return dict(zip(scores.example_ids, extraction_strength(scores).tolist(), strict=True))


KINDS = (_robustness, _ood, _draws, _calibration, _memory)


def _shared(ids: Sequence[str], others: Sequence[str]) -> list[str]:
    return sorted(set(ids) & set(others))


def _mean_lost(name: str, lost: Float[np.ndarray, " examples"], note: str = "", *, bounded: bool = True) -> Comparison:
    worse = (mean_difference if bounded else mean)(lost, note)
    return name, worse, p_of_interval(worse)
