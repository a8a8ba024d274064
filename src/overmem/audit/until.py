"""`audit --until decided`: stops observing val as soon as the regime at the end of the run is decided.

This is a group-sequential test. The questions of val are ordered by their hashes and observed in portions, the splits
`look-01`, `look-02`, ... in a separate folder. After each portion (a look) the run is judged at a level that keeps the
error rate of all looks together (`overmem.verdict.anytime`). Checkpoints that can no longer be the best are dropped.
The observed questions then become val, and every other split is limited to the same number of questions.

An interrupted audit resumes: the looks are the same, and complete portions are not observed again.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from overmem import store
from overmem.audit.grading import unit_grader
from overmem.audit.options import Audit
from overmem.audit.publish import publish
from overmem.audit.request import Request
from overmem.audit.workload import Workload
from overmem.errors import BadRequest
from overmem.grading.guessing import guessed_accuracy
from overmem.models.discovery import CheckpointRef
from overmem.models.files import fingerprint
from overmem.observe.clock import Progress
from overmem.observe.pace import Pace
from overmem.observe.plan import Split
from overmem.observe.queue import WorkQueue, clear_leases
from overmem.observe.walk import observe
from overmem.observe.work import ObservationSetup, pending
from overmem.records import Completions, Curves, Limits, Scores
from overmem.records.plan import Stopping
from overmem.verdict.anytime import level, looks, out_of_the_race
from overmem.verdict.assess import assess
from overmem.verdict.evidence import Evidence
from overmem.verdict.facts import facts
from overmem.wording.stopping import stopping_sentence

FOLDER = "looks"


def check_until(config: Audit) -> None:
    """Refuse options that cannot be combined with --until.

    Raises:
        BadRequest: a budget, several workers, or a choice of splits.
    """
    if config.until is None:
        return
    for option, is_set in (
        ("--budget", config.budget is not None),
        ("--workers", config.workers != 1 or config.executor != "local"),
        ("--splits", bool(config.splits)),
    ):
        if is_set:
            raise BadRequest(f"--until decided chooses the questions itself, in this process; leave out {option}")


def until_decided(
    request: Request,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
    limits: Limits | None = None,
) -> Request:
    """The request, reduced to the questions and the checkpoints that were needed to decide the end of the run.

    Args:
        request: the request, with as many rows as may be observed at most.
        say: called with a line on every look.
        progress: called with the progress of each look.
        limits: the limits of the verdict; `alpha` is the error rate of all looks together.

    Raises:
        BadRequest: there is no val split, or its questions have no answers.
    """
    limits = limits or Limits()
    previous = _previous_stopping(request)
    if previous is not None:
        say(stopping_sentence(previous))
        return _reduced(request, previous)
    record = request.options.get("stopping")
    rows = request.options["rows"] if record is None else record["planned"]
    splits = request.splits(rows, request.options["side_rows"])
    val = splits.get("val")
    if val is None or "samples" not in val.kinds or "scores" not in val.kinds:
        raise BadRequest("--until decided judges a run on val, which needs questions with solutions and answers")
    planned = len(val.examples)
    chance = guessed_accuracy(val.examples, splits["train"].examples if "train" in splits else ())
    scratch = replace(request, run=store.Run(request.run.root, request.run.home / FOLDER), previous_plan=None)
    portions: dict[str, Split] = {}
    dropped: dict[str, int] = {}
    refs, regime, observed, look = request.refs, "undecided", 0, 0
    for look, n in enumerate(looks(planned), 1):
        portions[f"look-{look:02d}"] = _portion(val, f"look-{look:02d}", observed, n)
        observed = n
        _observe_look(replace(scratch, refs=refs), splits.get("train"), portions, say, progress)
        alpha = level(observed, planned, limits.alpha)
        curves = _curves(scratch, portions, refs, val)
        train = store.read_curves(scratch.run, "train", checkpoints=_names(refs)) if "train" in splits else None
        evidence = Evidence(val=curves, train=train, chance=chance)
        regime = assess(evidence, replace(limits, alpha=alpha)).regime
        say(f"look {look}: {observed} of {planned} questions, {len(refs)} checkpoints: the end of the run is {regime}")
        if regime != "undecided":
            break
        tests = facts(curves, train, margin=limits.margin, d_nll=limits.d_nll, chance=chance, alpha=alpha)
        worse = [] if tests is None else [curves.checkpoints[row].name for row in out_of_the_race(tests, alpha)]
        dropped |= dict.fromkeys(worse, observed)
        refs = tuple(ref for ref in refs if ref.checkpoint.name not in worse)
    stopping = Stopping(planned, observed, look, regime, dropped, limits.alpha)
    say(stopping_sentence(stopping))
    reduced = _reduced(replace(request, refs=refs), stopping)
    with store.locked(request.run):
        _write_val(scratch, reduced, portions)
    return reduced


def delete_looks(run: store.Run) -> None:
    """Delete the portions, once val is complete."""
    shutil.rmtree(run.home / FOLDER, ignore_errors=True)


def _previous_stopping(request: Request) -> Stopping | None:
    """How the previous audit of the same request stopped; None if there was none, or there are new checkpoints."""
    record = request.options.get("stopping")
    if record is None:
        return None
    stopping = Stopping(**record)
    plan = request.previous_plan
    audited = set() if plan is None else {c.name for c in plan.checkpoints} | set(stopping.dropped)
    return stopping if _names(request.refs) <= audited else None


def _reduced(request: Request, stopping: Stopping) -> Request:
    """The request with only the questions and the checkpoints that remained."""
    record = store.to_jsonable(stopping)
    options = {**request.options, "rows": stopping.asked, "stopping": record}
    refs = tuple(ref for ref in request.refs if ref.checkpoint.name not in stopping.dropped)
    return replace(request, options=options, refs=refs)


def _portion(val: Split, name: str, start: int, stop: int) -> Split:
    """The questions from index `start` up to, but not including, `stop`."""
    examples = val.examples[start:stop]
    ids = {example.id for example in examples}
    request = hashlib.sha256(f"{val.request} {start} {stop}".encode()).hexdigest()[:16]
    return Split(name, examples, tuple(e for e in val.encoded if e.example_id in ids), request)


def _observe_look(
    request: Request,
    train: Split | None,
    portions: Mapping[str, Split],
    say: Callable[[str], None],
    progress: Progress,
) -> None:
    """Observe the missing units of all portions so far, and score the training rows.

    The base model completes the first portion only, because it is rarely close to the others in accuracy. Training rows
    are only scored.
    """
    splits = dict(portions) | ({} if train is None else {"train": train})
    work, done, failures = pending(request.run, request.refs, splits, request.skeleton.base)
    first = next(iter(portions))
    needed = []
    for unit in work:
        only_scores = unit.split.name == "train" or (unit.ref.checkpoint.step == 0 and unit.split.name != first)
        kinds = tuple(k for k in unit.kinds if k == "scores" or not only_scores)
        if kinds:
            needed.append(replace(unit, kinds=kinds))
    workload = Workload(request, splits, needed, done, failures)
    run = request.run
    with store.locked(run):
        publish(workload)
    queue = WorkQueue(run, needed, pace=Pace(request.decoding.repeats))
    observe(
        ObservationSetup(run, request.skeleton, request.tokenizer, request.decoding, request.config.token_budget),
        queue,
        progress=progress,
        on_written=unit_grader(run, request.data, run_code=request.config.run_code),
    )
    clear_leases(run, needed, queue.leases)


def _names(refs: Iterable[CheckpointRef]) -> set[str]:
    return {ref.checkpoint.name for ref in refs}


def _curves(request: Request, portions: Mapping[str, Split], refs: Sequence[CheckpointRef], val: Split) -> Curves:
    """The curves of all questions so far."""
    parts = [store.read_curves(request.run, name, checkpoints=_names(refs)) for name in portions]
    group_of = {example.id: example.group or example.id for example in val.examples}
    ids = [i for part in parts for i in part.example_ids]
    index_of = {group: index for index, group in enumerate(dict.fromkeys(group_of[i] for i in ids))}
    groups = None if len(index_of) == len(ids) else np.array([index_of[group_of[i]] for i in ids], dtype=np.int64)
    return Curves(
        parts[0].checkpoints,
        np.concatenate([part.nll_sums for part in parts], axis=1),
        np.concatenate([part.token_counts for part in parts]),
        np.concatenate([part.correct for part in parts], axis=1),
        groups=groups,
        example_ids=tuple(ids),
    )


def _write_val(scratch: Request, reduced: Request, portions: Mapping[str, Split]) -> None:
    """Write the portions as val, and the scores of the training rows, for every checkpoint that was not dropped."""
    splits = reduced.splits(reduced.options["rows"], reduced.options["side_rows"])
    run = reduced.run
    for ref in reduced.refs:
        name = ref.checkpoint.name
        if store.read_failure(scratch.run, name) is not None:
            continue
        weights = fingerprint(ref.path, reduced.skeleton.base)
        key: dict[str, Any] = {"weights": weights, "request": splits["val"].request}
        if not store.is_unit_current(run, name, "val", "scores", **key):
            store.write_scores(
                run, name, "val", _joined([store.read_scores(scratch.run, name, p) for p in portions]), **key
            )
        if not store.is_unit_current(run, name, "val", "samples", **key):
            completed = list(portions)[:1] if ref.checkpoint.step == 0 else list(portions)
            parts = [store.read_completions(scratch.run, name, p) for p in completed]
            store.write_samples(run, name, "val", _joined_completions(parts), **key)
        train: dict[str, Any] = {"weights": weights, "request": splits["train"].request} if "train" in splits else {}
        if train and not store.is_unit_current(run, name, "train", "scores", **train):
            store.write_scores(run, name, "train", store.read_scores(scratch.run, name, "train"), **train)


def _joined(parts: Sequence[Scores]) -> Scores:
    starts = np.concatenate([[0], np.cumsum([part.offsets[-1] for part in parts])])
    per_token = ("token_id", "logprob", "entropy", "is_argmax", "top1_logprob", "mean_logprob", "std_logprob")
    return Scores(
        example_ids=tuple(i for part in parts for i in part.example_ids),
        offsets=np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(parts, starts, strict=False))]),
        tempered_nll=np.concatenate([part.tempered_nll for part in parts]),
        truncated=sum(part.truncated for part in parts),
        **{column: np.concatenate([getattr(part, column) for part in parts]) for column in per_token},
    )


def _joined_completions(parts: Sequence[Completions]) -> Completions:
    columns = ("draw", "temperature", "token_count", "logprob")
    return Completions(
        example_ids=tuple(i for part in parts for i in part.example_ids),
        text=tuple(t for part in parts for t in part.text),
        stop=tuple(s for part in parts for s in part.stop),
        **{column: np.concatenate([getattr(part, column) for part in parts]) for column in columns},
    )
