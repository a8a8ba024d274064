"""`overmem merge RUN --search`: observe many merges on val, choose one, confirm it on test, write it if better."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from overmem import statistics, store
from overmem.errors import BadRequest
from overmem.merging.options import Merge
from overmem.merging.verb import merge
from overmem.records import Curves, Estimate, Limits
from overmem.records.searches import SEARCHED, LinePoint, MergeCandidate, MergeConfirmation, MergeLine, MergeSearch
from overmem.search.candidates import EVALUATIONS, SHARES, Trajectory, Weights, fixed, greedy, simplex
from overmem.search.scoring import CandidateScorer, scorer_of
from overmem.verdict.clusters import cluster_sums
from overmem.verdict.searched import barrier, confirmed, winner
from overmem.verdict.selection import choices

Progress = Callable[[str, float, float], None]
STAGES = (0.5, 0.85)
"""Shares of the time after which no further candidate is scored, and no further finalist answers questions."""


class _TimeIsUp(Exception):
    """Ends the first stage."""


@dataclass
class _Board:
    """The candidates that were observed on val."""

    scorer: CandidateScorer
    val: Curves
    progress: Progress
    deadline: float | None
    total: int = 0
    tried: dict[str, tuple[str, str, Weights]] = field(default_factory=dict)
    sums: dict[str, np.ndarray] = field(default_factory=dict)

    def score(self, rule: str, label: str, weights: Weights) -> float:
        """Nll per token on val; observed unless it was before."""
        key = self.scorer.key(weights)
        if key not in self.sums:
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise _TimeIsUp
            self.progress(f"{rule}: {label}", len(self.sums), max(self.total, len(self.sums) + 1))
            self.sums[key] = _aligned(self.scorer.nll_sums(weights, "val"), self.val)
            self.tried[key] = (rule, label, weights)
        return float(self.nll(key).value or np.inf)

    def nll(self, key: str) -> Estimate:
        """Nll per token on val, with its interval."""
        return _ratio(self.sums[key], self.val.token_counts, self.val)


def search(
    options: Merge,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> MergeSearch:
    """Search the merges of an audited run; the result is saved in `search.json`.

    Args:
        options: the run, the time, the number of finalists.
        say: called with a line on each stage.
        progress: called with (candidate, done, total).

    Raises:
        BadRequest: the run was not audited on val and test, or has a single checkpoint; or an option that the search
            chooses itself.
    """
    if options.checkpoints or options.weights or options.name or options.rule != "linear":
        raise BadRequest("a search chooses checkpoints, weights, rule and name itself; leave them out")
    start = time.monotonic()
    if (options.minutes is not None and options.minutes <= 0) or options.finalists < 1:
        raise BadRequest(f"--minutes {options.minutes} --finalists {options.finalists}; allowed: numbers above 0")
    scorer = scorer_of(options)
    if missing := {"val", "test"} - set(scorer.splits):
        raise BadRequest(f"a search chooses on val and confirms on test; the audit lacks {', '.join(sorted(missing))}")
    val, test = (store.read_curves(scorer.run, split) for split in ("val", "test"))
    run = _trajectory(scorer, val, test)
    ends = [None if options.minutes is None else start + 60 * options.minutes * share for share in STAGES]
    board = _Board(scorer, val, progress, ends[0])
    is_complete = _first_stage(run, board)
    if not board.tried:
        raise BadRequest(f"no candidate could be observed in {options.minutes:g} minutes; allowed: more --minutes")
    say(f"{len(board.tried)} candidates observed on {len(val.token_counts)} val questions")
    order = sorted(board.tried, key=lambda key: board.nll(key).value or np.inf)
    picks: dict[str, str] = {}
    for key in order:
        picks.setdefault(board.tried[key][0], key)
    answers = _second_stage(board, picks, options.finalists, ends[1])
    is_complete = is_complete and len(answers) >= min(len(picks), options.finalists)
    candidates = {
        key: MergeCandidate(
            *board.tried[key], board.nll(key), *([_accuracy(answers[key], val)] if key in answers else [])
        )
        for key in order
    }
    chosen = _winner(answers, board)
    confirmation = None if chosen is None else _confirmation(scorer, candidates[chosen], run.best, test)
    recommended, reasons = _judged(confirmation, candidates.get(chosen or ""), run.best, len(order), len(answers))
    lines = _lines(run, board, val, answers)
    if not recommended:
        reasons += tuple(_barrier_sentence(line) for line in lines if line.barrier.value is not None)
    written = None
    if recommended and chosen is not None:
        rule = re.sub(r"[^a-z]", "-", candidates[chosen].rule)
        written = merge(
            scorer.merge_of(candidates[chosen].weights, f"{SEARCHED}{rule}-{chosen[:6]}"), progress=progress
        )
    result = MergeSearch(
        single=run.best,
        candidates=tuple(candidates.values()),
        picks={rule: board.tried[key][1] for rule, key in picks.items()},
        winner=None if chosen is None else candidates[chosen],
        confirmation=confirmation,
        recommended=recommended,
        reasons=reasons,
        lines=lines,
        written=None if written is None else written.name,
        is_complete=is_complete,
    )
    store.write_json(scorer.run.search_path, result)
    return result


def _first_stage(run: Trajectory, board: _Board) -> bool:
    """Observe every candidate on val; whether the time sufficed."""
    first = list(fixed(run))
    board.total = len(first) + len(run.names) + EVALUATIONS
    try:
        for rule, label, weights in first:
            board.score(rule, label, weights)
        greedy(run, board.score)
        simplex(run, board.score)
    except _TimeIsUp:
        return False
    return True


def _second_stage(board: _Board, picks: Mapping[str, str], count: int, deadline: float | None) -> dict[str, np.ndarray]:
    """Whether the finalists answer each val question correctly: each rule's candidate of the lowest nll.

    Args:
        board: what was observed.
        picks: rule -> key of its candidate with the lowest nll, the lowest first.
        count: number of finalists.
        deadline: when no further one is observed; None for no limit.
    """
    finalists = list(dict.fromkeys(picks.values()))[:count]
    if "pair" in picks and picks["pair"] not in finalists:
        finalists[-1] = picks["pair"]
    answers: dict[str, np.ndarray] = {}
    for number, key in enumerate(finalists):
        if number and deadline is not None and time.monotonic() > deadline:
            break
        board.progress(f"finalist {board.tried[key][1]}", number, len(finalists))
        answers[key] = _aligned(board.scorer.correct(board.tried[key][2], "val"), board.val)
    return answers


def _trajectory(scorer: CandidateScorer, val: Curves, test: Curves) -> Trajectory:
    readable = {ref.checkpoint.name for ref in scorer.refs}
    rows = {c.name: i for i, c in enumerate(val.checkpoints)}
    nll = {}
    for checkpoint in val.checkpoints:
        seen = np.isfinite(val.nll_sums[rows[checkpoint.name]])
        on_disk = (scorer.run.root / checkpoint.name).is_dir() or scorer.run.holds_itself(checkpoint.name)
        if checkpoint.step > 0 and checkpoint.name in readable and on_disk and seen.all() and len(seen):
            nll[checkpoint.name] = float(val.nll_sums[rows[checkpoint.name]].sum() / val.token_counts.sum())
    if len(nll) < 2:
        raise BadRequest(f"{scorer.run.root} has {len(nll)} audited checkpoints on disk; a search merges two or more")
    best = store.read_verdict(scorer.run).best_of_run if scorer.run.verdict_path.is_file() else None
    if best not in nll:
        choice, _ = choices(val, test, on_disk=set(nll))
        best = None if choice is None else choice.checkpoint
    if best is None:
        raise BadRequest(f"{scorer.run.root} has no accuracy on val: which single checkpoint is best is not known")
    base = next((ref.path for ref in scorer.refs if ref.checkpoint.name == "base"), None)
    is_there = base is not None and (Path(base).is_dir() or not Path(base).is_absolute())
    return Trajectory(list(nll), nll, best, "base" if is_there else None)


def _aligned(values: Mapping[str, float], curves: Curves) -> np.ndarray:
    """Values in the order of the curves' examples; NaN where there is none."""
    return np.array([values.get(identity, np.nan) for identity in curves.example_ids])


def _ratio(top: np.ndarray, bottom: np.ndarray, curves: Curves) -> Estimate:
    seen = np.isfinite(top)
    groups = None if curves.groups is None else curves.groups[seen]
    sums, tokens = cluster_sums(np.stack([top[seen], bottom[seen].astype(np.float64)]), groups)
    return statistics.ratio(sums, tokens)


def _accuracy(correct: np.ndarray, curves: Curves) -> Estimate:
    return _ratio(correct, np.ones(len(correct)), curves)


def _winner(answers: Mapping[str, np.ndarray], board: _Board) -> str | None:
    if not answers:
        return None
    keys, correct = list(answers), np.stack(list(answers.values()))
    correct = correct[:, np.isfinite(correct).all(0)]
    if not correct.shape[1]:
        return None
    return keys[winner(correct, np.array([board.nll(key).value or np.inf for key in keys]))]


def _confirmation(
    scorer: CandidateScorer, candidate: MergeCandidate, single: str, test: Curves
) -> MergeConfirmation | None:
    row = [c.name for c in test.checkpoints].index(single)
    nll = np.stack([_aligned(scorer.nll_sums(candidate.weights, "test"), test), test.nll_sums[row]])
    correct = np.stack([_aligned(scorer.correct(candidate.weights, "test"), test), test.correct[row]])
    seen = np.isfinite(nll).all(0) & np.isfinite(correct).all(0)
    if seen.sum() < 2:
        return None
    groups = None if test.groups is None else test.groups[seen]
    tokens = test.token_counts[seen].astype(np.float64)
    return confirmed(correct[:, seen], nll[:, seen], tokens, groups, winners=scorer.winners("test"))


def _judged(
    test: MergeConfirmation | None, chosen: MergeCandidate | None, single: str, candidates: int, finalists: int
) -> tuple[bool, tuple[str, ...]]:
    """Whether the winner is recommended, and why."""
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
    return False, (f"not shown to be better: {numbers}", chosen_on)


def _lines(run: Trajectory, board: _Board, val: Curves, answers: Mapping[str, np.ndarray]) -> tuple[MergeLine, ...]:
    """The line between two checkpoints, and that from the base to the best, as far as they were observed."""
    pairs = [run.ends, None if run.base is None else (run.base, run.best)]
    rows = {c.name: i for i, c in enumerate(val.checkpoints)}
    lines = []
    for pair in [pair for pair in pairs if pair is not None and set(pair) <= set(rows)]:
        points: list[tuple[float, np.ndarray, np.ndarray]] = []
        for share in (0.0, *SHARES, 1.0):
            if share in (0.0, 1.0):
                row = rows[pair[int(share)]]
                points.append((share, val.nll_sums[row], val.correct[row]))
            elif (key := board.scorer.key({pair[0]: 1 - share, pair[1]: share})) in board.sums:
                points.append((share, board.sums[key], answers.get(key, np.full(len(val.token_counts), np.nan))))
        seen = np.isfinite(np.stack([sums for _, sums, _ in points])).all(0)
        groups = None if val.groups is None else val.groups[seen]
        height = barrier(
            np.stack([sums[seen] for _, sums, _ in points]),
            np.array([share for share, _, _ in points]),
            val.token_counts[seen].astype(np.float64),
            groups,
        )
        drawn = tuple(LinePoint(s, _ratio(n, val.token_counts, val), _accuracy(c, val)) for s, n, c in points)
        lines.append(MergeLine(*pair, drawn, height))
    return tuple(lines)


def _barrier_sentence(line: MergeLine) -> str:
    height = line.barrier
    where = f"between {line.start} and {line.end}"
    if height.value is None or height.low is None or height.high is None:
        return f"whether there is a barrier {where} is not known"
    size = f"{height.value:+.4f} nats per token ({height.low:+.4f} to {height.high:+.4f}) from the straight line"
    return f"there is a barrier {where}: {size}" if height.low > 0 else f"no barrier is shown {where}: {size}"
