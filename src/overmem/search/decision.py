"""From observations to a decision: which merge is chosen on val, and whether test shows it to be better."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from overmem.errors import BadRequest
from overmem.records import Curves, Limits
from overmem.records.searches import MergeCandidate, MergeConfirmation, MergeSearch
from overmem.search.board import (
    Answers,
    Board,
    Observer,
    Progress,
    aligned,
    answers_in_order,
    observe_candidates,
    observe_finalists,
    share,
    value_of,
)
from overmem.search.candidates import SHARES, Trajectory
from overmem.search.path import UpdatesOf, between, line, pairs, reasons
from overmem.verdict.searched import Pairs, confirmed, winner

STAGES = (0.5, 0.8, 0.9)
"""Shares of the time after which no further candidate is scored, no further finalist answers questions, and no further
point of the line does."""


@dataclass(frozen=True)
class Audited:
    """The curves of the single checkpoints."""

    val: Curves
    test: Curves
    sides: Mapping[str, Curves]
    """Shifted and out-of-distribution splits, by name."""


def decide(
    observer: Observer,
    run: Trajectory,
    audited: Audited,
    *,
    minutes: float | None = None,
    finalists: int = 6,
    path: bool = True,
    updates_of: UpdatesOf = lambda start, end: None,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> tuple[MergeSearch, str | None]:
    """The result of a search, and the key of its winner; nothing is written.

    Args:
        observer: observes a candidate.
        run: the single checkpoints.
        audited: their curves.
        minutes: time for everything; None for no limit.
        finalists: how many candidates answer questions.
        path: whether the points between the best checkpoint and the last answer questions too.
        updates_of: compares the weight updates of two checkpoints.
        say: called with a line on each stage.
        progress: called with (candidate, done, total).

    Raises:
        BadRequest: the time did not suffice for a single candidate.
    """
    start, val = time.monotonic(), audited.val
    ends = [None if minutes is None else start + 60 * minutes * part for part in STAGES]
    board = Board(observer, val, progress, ends[0])
    is_complete = observe_candidates(run, board)
    if not board.tried:
        raise BadRequest(f"no candidate could be observed in {minutes:g} minutes; allowed: more --minutes")
    say(f"{len(board.tried)} candidates observed on {len(val.token_counts)} val questions")
    picks = board.picks
    answers = observe_finalists(board, picks, finalists, ends[1])
    is_complete = is_complete and len(answers) >= min(len(set(picks.values())), finalists)
    chosen = _winner(answers, board, run.best)
    confirmation = None if chosen is None else _confirmation(board, chosen, run.best, audited)
    answers_of_finalists = len(answers)
    if path and run.ends is not None:
        is_complete = _answer_along(run.ends, board, answers, ends[2]) and is_complete
    candidates = {key: _candidate(key, board, answers.get(key)) for key in board.order}
    recommended, why = judged(
        confirmation, candidates.get(chosen or ""), run.best, len(candidates), answers_of_finalists
    )
    if chosen is None and answers:
        why = (f"no finalist is as accurate on val as {run.best}, so none was tested",)
    drawn = [line(pair, board, answers, audited.sides if path else {}, updates_of) for pair in pairs(run)]
    lines = tuple(one for one in drawn if one is not None)
    if not recommended:
        why += tuple(sentence for one in lines for sentence in reasons(one))
    result = MergeSearch(
        single=run.best,
        candidates=tuple(candidates.values()),
        picks={rule: board.tried[key][1] for rule, key in picks.items()},
        winner=None if chosen is None else candidates[chosen],
        confirmation=confirmation,
        recommended=recommended,
        reasons=why,
        lines=lines,
        is_complete=is_complete,
        draws=observer.draws,
    )
    return result, chosen


def _candidate(key: str, board: Board, answers: Answers | None) -> MergeCandidate:
    shares = () if answers is None else (share(answers.correct, board.val), share(answers.passed, board.val))
    return MergeCandidate(*board.tried[key], board.nlls[key], *shares)


def _answer_along(pair: tuple[str, str], board: Board, answers: dict[str, Answers], deadline: float | None) -> bool:
    """Let the points between two checkpoints answer the val questions; whether the time sufficed."""
    for part in SHARES:
        key = board.observer.key(between(pair, part))
        if key in answers or key not in board.sums:
            continue
        if deadline is not None and time.monotonic() > deadline:
            return False
        board.progress(f"{part:g} of the way from {pair[0]} to {pair[1]}", len(answers), len(answers) + 1)
        answers[key] = answers_in_order(board.observer.answers(between(pair, part), "val"), board.val)
    return True


def _winner(answers: Mapping[str, Answers], board: Board, single: str) -> str | None:
    if not answers:
        return None
    keys, row = list(answers), [c.name for c in board.val.checkpoints].index(single)
    correct = np.stack([*(a.correct for a in answers.values()), board.val.correct[row]])
    correct = correct[:, np.isfinite(correct).all(0)]
    if not correct.shape[1]:
        return None
    nll = np.array([value_of(board.nlls[key]) for key in keys])
    best = winner(correct[:-1], nll, correct[-1])
    return None if best is None else keys[best]


def _confirmation(board: Board, chosen: str, single: str, audited: Audited) -> MergeConfirmation | None:
    """The winner against the best single checkpoint on test, and on the shifted and out-of-distribution splits."""
    observer, weights, test = board.observer, board.tried[chosen][2], audited.test
    row = [c.name for c in test.checkpoints].index(single)
    nll = np.stack([aligned(observer.nll_sums(weights, "test"), test), test.nll_sums[row]])
    answers = answers_in_order(observer.answers(weights, "test"), test)
    correct = np.stack([answers.correct, test.correct[row]])
    seen = np.isfinite(nll).all(0) & np.isfinite(correct).all(0)
    if seen.sum() < 2:
        return None
    costs = []
    if observer.draws:
        passed = np.stack([answers.passed, answers_in_order(observer.answers_of(single, "test"), test).passed])
        costs.append(_pairs(f"pass@{observer.draws}", passed, test))
    for split, curves in audited.sides.items():
        names = [c.name for c in curves.checkpoints]
        if single in names:
            winners = answers_in_order(observer.answers(weights, split), curves).correct
            costs.append(_pairs(split, np.stack([winners, curves.correct[names.index(single)]]), curves))
    return confirmed(
        correct[:, seen],
        nll[:, seen],
        test.token_counts[seen].astype(np.float64),
        test.groups_of(seen),
        costs=[cost for cost in costs if cost.values.shape[1] > 1],
        winners=observer.winners("test"),
    )


def _pairs(name: str, values: np.ndarray, curves: Curves) -> Pairs:
    seen = np.isfinite(values).all(0)
    return Pairs(name, values[:, seen], curves.groups_of(seen))


def judged(
    test: MergeConfirmation | None, chosen: MergeCandidate | None, single: str, candidates: int, finalists: int
) -> tuple[bool, tuple[str, ...]]:
    """Whether the winner is recommended, and why.

    Args:
        test: its confirmation.
        chosen: the winner.
        single: the best single checkpoint.
        candidates: how many were observed.
        finalists: how many of them answered questions.
    """
    if test is None or chosen is None or test.accuracy.value is None or test.nll.value is None:
        return False, ("no merge was confirmed: there are no test questions that it and the checkpoint answered",)
    alpha, points = Limits().alpha, 100 * test.accuracy.value
    numbers = (
        f"{chosen.rule} ({chosen.label}) against {single} on {test.accuracy.n} test questions: {points:+.1f} points of "
        f"accuracy ({100 * (test.accuracy.low or 0):+.1f} to {100 * (test.accuracy.high or 0):+.1f}), "
        f"{test.nll.value:+.4f} nats per token ({test.nll.low or 0:+.4f} to {test.nll.high or 0:+.4f})"
    )
    chosen_on = f"it was chosen on val among {finalists} finalists of {candidates} candidates, none of which saw test"
    if test.p_more_accurate < alpha:
        return True, (f"shown to be more accurate: {numbers}", chosen_on)
    if test.p_as_accurate_at_lower_nll < alpha:
        return True, (f"shown to be as accurate at a lower perplexity: {numbers}", chosen_on)
    for cost in test.costs:
        change = cost.difference
        if cost.p_as_accurate_with_less < alpha and change.value is not None:
            better = (
                f"{cost.name} better by {100 * change.value:.1f} points "
                f"({100 * (change.low or 0):+.1f} to {100 * (change.high or 0):+.1f}, n = {change.n})"
            )
            return True, (f"shown to be as accurate, with {better}: {numbers}", chosen_on)
    return False, (f"not shown to be better: {numbers}", chosen_on)
