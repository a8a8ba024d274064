"""An audit that stops asking questions of val when the end of the run is decided.

The questions are in the order of their hashes, which was fixed before any was asked. They are observed in portions, in
splits `look-01`, `look-02`, ... of a separate folder. After each portion the run is judged at a level that allows
for all looks together (`overmem.verdict.anytime`), and checkpoints that are out of the race are asked no more. What was
asked then becomes val, and everything else is observed for as many questions as that took.

A stopped audit resumes where it was: the looks are the same, and portions that are complete are not observed again.
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
    """Refuse what does not go together with looks.

    Raises:
        BadRequest: a budget, several workers, or a choice of splits.
    """
    if config.until is None:
        return
    for option, wrong in (
        ("--budget", config.budget is not None),
        ("--workers", config.workers != 1 or config.executor != "local"),
        ("--splits", bool(config.splits)),
    ):
        if wrong:
            raise BadRequest(f"--until decided chooses the questions itself, in this process; leave out {option}")


def until_decided(
    request: Request,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda what, done, total: None,
    limits: Limits | None = None,
) -> Request:
    """The request cut down to as many questions, and to the checkpoints, that it took to decide the end of the run.

    Args:
        request: with as many rows as may be asked.
        say: called with a line on every look.
        progress: called with how far the work of a look is.
        limits: of the judgement, and the error rate of all looks together.

    Raises:
        BadRequest: there is no val split, or its questions have no answers.
    """
    limits = limits or Limits()
    earlier = _stopping_of(request)
    if earlier is not None:
        say(stopping_sentence(earlier))
        return _cut(request, earlier)
    record = request.options.get("stopping")
    rows = request.options["rows"] if record is None else record["planned"]
    splits = request.splits(rows, request.options["side_rows"])
    val = splits.get("val")
    if val is None or "samples" not in val.kinds or "scores" not in val.kinds:
        raise BadRequest("--until decided judges a run on val, which needs questions with solutions and answers")
    planned = len(val.examples)
    scratch = replace(request, run=store.Run(request.run.root, request.run.home / FOLDER), previous_plan=None)
    steps = looks(planned)
    portions: dict[str, Split] = {}
    dropped: dict[str, int] = {}
    race, regime, asked, number = request.refs, "undecided", 0, 0
    for number, n in enumerate(steps, 1):
        portions[f"look-{number:02d}"] = _portion(val, f"look-{number:02d}", asked, n)
        asked = n
        _observe_look(replace(scratch, refs=race), splits.get("train"), portions, say, progress)
        at = level(asked, planned, limits.alpha)
        curves, train = _curves(scratch, portions, race, val), _train(scratch, race, splits)
        regime = assess(Evidence(val=curves, train=train), replace(limits, alpha=at)).regime
        say(f"look {number}: {asked} of {planned} questions, {len(race)} checkpoints: the end of the run is {regime}")
        if regime != "undecided":
            break
        tests = facts(curves, train, margin=limits.margin, d_nll=limits.d_nll, alpha=at)
        out = [] if tests is None else [curves.checkpoints[row].name for row in out_of_the_race(tests, at)]
        dropped |= dict.fromkeys(out, asked)
        race = tuple(ref for ref in race if ref.checkpoint.name not in out)
    stopping = Stopping(planned, asked, number, regime, dropped, limits.alpha)
    say(stopping_sentence(stopping))
    cut = _cut(replace(request, refs=race), stopping)
    with store.locked(request.run):
        _become_val(scratch, cut, portions)
    return cut


def forget_looks(run: store.Run) -> None:
    """Delete the portions, when all of val has been put together."""
    shutil.rmtree(run.home / FOLDER, ignore_errors=True)


def _stopping_of(request: Request) -> Stopping | None:
    """The record of an earlier audit of as many questions, where the same checkpoints are there."""
    record = request.options.get("stopping")
    if record is None:
        return None
    stopping = Stopping(**record)
    plan = request.previous_plan
    known = set() if plan is None else {c.name for c in plan.checkpoints} | set(stopping.dropped)
    return stopping if _names(request.refs) <= known else None


def _cut(request: Request, stopping: Stopping) -> Request:
    record = store.to_jsonable(stopping)
    options = {**request.options, "rows": stopping.asked, "stopping": record}
    refs = tuple(ref for ref in request.refs if ref.checkpoint.name not in stopping.dropped)
    return replace(request, options=options, refs=refs)


def _portion(val: Split, name: str, first: int, last: int) -> Split:
    """The questions from the `first` one up to, but not including, the `last` one."""
    examples = val.examples[first:last]
    ids = {example.id for example in examples}
    request = hashlib.sha256(f"{val.request} {first} {last}".encode()).hexdigest()[:16]
    return Split(name, examples, tuple(e for e in val.encoded if e.example_id in ids), request)


def _observe_look(
    request: Request,
    train: Split | None,
    portions: Mapping[str, Split],
    say: Callable[[str], None],
    progress: Progress,
) -> None:
    """Observe what is missing of all portions so far, and score the training rows.

    The base model completes the first portion only: it is hardly ever near the others. Training rows are only scored.
    """
    splits = dict(portions) | ({} if train is None else {"train": train})
    work, done, failures = pending(request.run, request.refs, splits, request.skeleton.base)
    first = next(iter(portions))
    needed = []
    for unit in work:
        is_spared = unit.split.name == "train" or (unit.ref.checkpoint.step == 0 and unit.split.name != first)
        kinds = tuple(k for k in unit.kinds if k == "scores" or not is_spared)
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


def _train(request: Request, race: Sequence[CheckpointRef], splits: Mapping[str, Split]) -> Curves | None:
    return store.read_curves(request.run, "train", checkpoints=_names(race)) if "train" in splits else None


def _curves(request: Request, portions: Mapping[str, Split], race: Sequence[CheckpointRef], val: Split) -> Curves:
    """The curves of all questions so far."""
    parts = [store.read_curves(request.run, name, checkpoints=_names(race)) for name in portions]
    question = {example.id: example.group or example.id for example in val.examples}
    ids = [i for part in parts for i in part.example_ids]
    numbers = {q: k for k, q in enumerate(dict.fromkeys(question[i] for i in ids))}
    groups = None if len(numbers) == len(ids) else np.array([numbers[question[i]] for i in ids], dtype=np.int64)
    return Curves(
        parts[0].checkpoints,
        np.concatenate([part.nll_sums for part in parts], axis=1),
        np.concatenate([part.token_counts for part in parts]),
        np.concatenate([part.correct for part in parts], axis=1),
        groups=groups,
        example_ids=tuple(ids),
    )


def _become_val(scratch: Request, cut: Request, portions: Mapping[str, Split]) -> None:
    """Write the portions as val, and the training rows' scores, of every checkpoint in the race."""
    splits = cut.splits(cut.options["rows"], cut.options["side_rows"])
    run = cut.run
    for ref in cut.refs:
        name = ref.checkpoint.name
        if store.read_failure(scratch.run, name) is not None:
            continue
        weights = fingerprint(ref.path, cut.skeleton.base)
        key: dict[str, Any] = {"weights": weights, "request": splits["val"].request}
        if not store.is_unit_current(run, name, "val", "scores", **key):
            store.write_scores(
                run, name, "val", _joined([store.read_scores(scratch.run, name, p) for p in portions]), **key
            )
        if not store.is_unit_current(run, name, "val", "samples", **key):
            asked = list(portions)[:1] if ref.checkpoint.step == 0 else list(portions)
            drawn = [store.read_completions(scratch.run, name, p) for p in asked]
            store.write_samples(run, name, "val", _joined_completions(drawn), **key)
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
