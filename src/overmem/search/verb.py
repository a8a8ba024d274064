"""`overmem merge RUN --search`: observe many merges on val, choose one, confirm it on test, write it if better."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from overmem import store
from overmem.errors import BadRequest
from overmem.merging.options import Merge
from overmem.merging.updates import updates
from overmem.merging.verb import merge
from overmem.records import Curves, SplitName
from overmem.records.searches import SEARCHED, MergeSearch
from overmem.search.board import Progress
from overmem.search.candidates import Trajectory
from overmem.search.decision import Audited, decide
from overmem.search.scoring import CandidateScorer, scorer_of
from overmem.verdict.selection import choices


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
    if (options.minutes is not None and options.minutes <= 0) or options.finalists < 1:
        raise BadRequest(f"--minutes {options.minutes} --finalists {options.finalists}; allowed: numbers above 0")
    scorer = scorer_of(options)
    if missing := {"val", "test"} - set(scorer.splits):
        raise BadRequest(f"a search chooses on val and confirms on test; the audit lacks {', '.join(sorted(missing))}")
    val, test = (store.read_curves(scorer.run, split) for split in ("val", "test"))
    sides = {name: store.read_curves(scorer.run, name) for name in scorer.splits if _is_side(scorer, name)}
    result, key = decide(
        scorer,
        _trajectory(scorer, val, test),
        Audited(val, test, sides),
        minutes=options.minutes,
        finalists=options.finalists,
        path=options.path,
        updates_of=partial(updates, scorer.refs),
        say=say,
        progress=progress,
    )
    if result.recommended and result.winner is not None and key is not None:
        name = f"{SEARCHED}{re.sub(r'[^a-z]', '-', result.winner.rule)}-{key[:6]}"
        written = merge(scorer.merge_of(result.winner.weights, name), progress=progress)
        result = replace(result, written=written.name)
    store.write_json(scorer.run.search_path, result)
    return result


def _is_side(scorer: CandidateScorer, split: str) -> bool:
    """Whether a split measures a cost: a shifted test set or an out-of-distribution one, with answers."""
    name = SplitName.parse(split)
    is_cost = name.is_ood or (name.base == "test" and bool(name.shift))
    return is_cost and not name.attack and "samples" in scorer.splits[split].kinds


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
