"""Importing other harnesses' logs into a run, so that `diagnose` and `report` read them as they read an audit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import overmem
from overmem import store
from overmem.errors import BadRequest, OvermemError, unknown
from overmem.evaluations.formats import FORMATS
from overmem.evaluations.log import EvaluationLog
from overmem.evaluations.observations import needs_tokenizer, samples_of, totals_of
from overmem.evaluations.options import ImportLogs
from overmem.evaluations.places import checkpoint_at, steps_of
from overmem.evaluations.questions import examples_by_key, matched
from overmem.grading import graders_of
from overmem.probes.measure import measured
from overmem.records import Checkpoint, Example, Plan, PlannedSplit
from overmem.store.imported import REQUEST, origin_of, write_imported_samples, write_totals

GRADERS = ("log", "math", "choice", "exact")


@dataclass(frozen=True)
class Imported:
    """What was imported."""

    run: store.Run
    split: str
    checkpoints: tuple[Checkpoint, ...]
    examples: int
    completions: int
    scored: int
    """Solutions with a likelihood, over all checkpoints."""


@dataclass(frozen=True)
class _Evaluated:
    """One checkpoint and its logs."""

    checkpoint: Checkpoint
    logs: tuple[EvaluationLog, ...]


def import_logs(config: ImportLogs, *, say: Callable[[str], None] = lambda line: None) -> Imported:
    """Write the questions, completions and likelihoods of other harnesses' logs into a run.

    Args:
        config: whose logs, and which run.
        say: called with every default that was chosen: order, metric, what was left out.

    Raises:
        BadRequest: no log, no number of a step, several tasks without --task, or a split that the audit has measured.
        BadData: a file that is not the harness's.
        Locked: another process writes to the run.
    """
    _check(config)
    root = Path(config.run)
    root.mkdir(parents=True, exist_ok=True)
    run = store.open_run(root, config.out)
    evaluated = _evaluated(config, run, say)
    logs = [log for one in evaluated for log in one.logs]
    for note in dict.fromkeys(note for log in logs for note in log.notes):
        say(note)
    plan = store.find_plan(run)
    examples, request = _examples(config, run, plan, logs, say)
    tokenizer = _tokenizer(config, root, logs, say) if needs_tokenizer(logs) else None
    for one in evaluated:
        _refuse_own(run, one.checkpoint.name, config.split)
    completions = scored = 0
    with store.locked(run):
        store.write_examples(run, config.split, list({e.id: e for e in examples.values()}.values()))
        for one in evaluated:
            origin = f"{config.harness} {next((log.metric for log in one.logs if log.metric), 'likelihoods')}"
            made = samples_of(one.logs, examples, tokenizer, grader=config.grader)
            if made is not None:
                is_logged = config.grader == "log" and _is_graded(one.logs)
                grader = "" if is_logged else graders_of(examples.values())
                write_imported_samples(
                    run, one.checkpoint.name, config.split, *made, origin=origin, grader=grader, request=request
                )
                completions += len(made[0].text)
            totals = totals_of(one.logs, examples, tokenizer)
            if totals is not None:
                write_totals(run, one.checkpoint.name, config.split, totals, origin=origin, request=request)
                scored += len(totals.example_ids)
        store.write_plan(run, _planned(plan, config, [one.checkpoint for one in evaluated], examples, request))
        read = store.snapshot_reader(run)
        store.write_measurements(run, tuple(measured(store.read_checkpoints(run), read)))
    return Imported(run, config.split, tuple(one.checkpoint for one in evaluated), len(examples), completions, scored)


def _check(config: ImportLogs) -> None:
    if config.harness not in FORMATS:
        raise unknown("harness", config.harness, FORMATS)
    if config.grader not in GRADERS:
        raise unknown("grader", config.grader, GRADERS, "--grader")
    if not re.fullmatch(r"train|val|test|ood-[\w.-]+", config.split):
        raise BadRequest(f"--split {config.split!r}; allowed: train, val, test, ood-<name>")
    if not config.logs:
        raise BadRequest("no logs were given; allowed: files or folders, one per checkpoint")
    for log in config.logs:
        if not Path(log).exists():
            raise BadRequest(f"no log at {log!r}; allowed: files or folders that {config.harness} wrote")


def _evaluated(config: ImportLogs, run: store.Run, say: Callable[[str], None]) -> list[_Evaluated]:
    """The logs of each checkpoint, in time order."""
    read = [(Path(path), _chosen(FORMATS[config.harness](Path(path), config.metric), config)) for path in config.logs]
    steps = steps_of([(path, logs[0]) for path, logs in read], config.checkpoints)
    if len({step for step, _ in steps}) < len(steps):
        shown = ", ".join(f"{path} ({step})" for (path, _), (step, _) in zip(read, steps, strict=True))
        raise BadRequest(f"two logs are of one checkpoint: {shown}; allowed: one log per checkpoint (--checkpoints)")
    history = store.read_log_history(run)
    evaluated = [
        _Evaluated(checkpoint_at(run.root, step, history), tuple(logs))
        for (_, logs), (step, _) in zip(read, steps, strict=True)
    ]
    evaluated.sort(key=lambda one: one.checkpoint.step)
    where = " or ".join(dict.fromkeys(where for _, where in steps))
    say(f"checkpoints by the number in {where}: {', '.join(one.checkpoint.name for one in evaluated)}")
    metrics = dict.fromkeys(log.metric for one in evaluated for log in one.logs if log.metric)
    graded = "graded by" if config.grader == "log" else f"regraded by overmem's {config.grader}, not by"
    tasks = dict.fromkeys(log.task for one in evaluated for log in one.logs)
    shown = " and ".join(metrics) or "nothing: likelihoods only"
    say(f"split {config.split}: {', '.join(tasks)}, {graded} {config.harness}'s {shown}")
    return evaluated


def _chosen(logs: Sequence[EvaluationLog], config: ImportLogs) -> list[EvaluationLog]:
    there = [log.task for log in logs]
    for task in config.task:
        if task not in there:
            raise unknown("task", task, there, str(logs[0].path))
    if not config.task and len(logs) > 1:
        keys = [{question.key for question in log.questions} for log in logs]
        if not set.intersection(*keys):
            raise BadRequest(
                f"{logs[0].path.parent} has the tasks {', '.join(there)}; choose those of one split with --task, and "
                "import the others into splits of their own"
            )
    return [log for log in logs if not config.task or log.task in config.task]


def _examples(
    config: ImportLogs,
    run: store.Run,
    plan: Plan | None,
    logs: Sequence[EvaluationLog],
    say: Callable[[str], None],
) -> tuple[dict[str, Example], str]:
    """Key of a question -> its example, and the plan's request of the split.

    Raises:
        BadRequest: the split was audited, and shares no question with the logs.
    """
    examples = examples_by_key(logs)
    if config.grader != "log":
        examples = {key: replace(example, kind=config.grader) for key, example in examples.items()}
    planned = None if plan is None else plan.splits.get(config.split)
    if planned is None or planned.request == REQUEST:
        there = store.read_examples(run, config.split) if planned is not None else ()
        # Examples of an earlier import stay: its logs may have had other questions.
        return {**{f"imported before {e.id}": e for e in there}, **examples}, REQUEST
    same, others = matched(examples, store.read_examples(run, config.split))
    if not same:
        raise BadRequest(
            f"the logs share no question with the split {config.split}, which was audited; allowed: another --split, "
            "or --out for a folder of its own"
        )
    if others:
        say(f"{len(others)} questions left out: the audited split {config.split} does not have them")
    return same, planned.request


def _is_graded(logs: Sequence[EvaluationLog]) -> bool:
    return all(c.correct is not None for log in logs for q in log.questions for c in q.completions)


def _tokenizer(config: ImportLogs, root: Path, logs: Sequence[EvaluationLog], say: Callable[[str], None]) -> Any:
    """What counts the tokens behind a summed likelihood; None, said, where there is none."""
    named = re.findall(r"(?:^|,)(?:pretrained|model)=([^,]+)", logs[0].model) or [logs[0].model]
    places = [config.tokenizer] if config.tokenizer else [str(root), *(str(p) for p in root.glob("*/")), *named]
    for place in places:
        if config.tokenizer or any((Path(place) / n).is_file() for n in ("tokenizer.json", "tokenizer_config.json")):
            from overmem.models.discovery import load_tokenizer

            try:
                return load_tokenizer(place)
            except OvermemError:
                if config.tokenizer:
                    raise
    say("no nll: the likelihoods are sums over tokens that nothing here counts; give --tokenizer")
    return None


def _planned(
    plan: Plan | None,
    config: ImportLogs,
    checkpoints: Sequence[Checkpoint],
    examples: Mapping[str, Example],
    request: str,
) -> Plan:
    """The run's plan with the imported split and checkpoints added."""
    plan = plan or Plan({}, (), base=None, versions={"overmem": overmem.__version__})
    names = {c.name for c in plan.checkpoints}
    every = sorted([*plan.checkpoints, *(c for c in checkpoints if c.name not in names)], key=_order)
    splits = {**plan.splits}
    if splits.get(config.split, PlannedSplit(REQUEST)).request == REQUEST:
        splits[config.split] = PlannedSplit(request, len({e.id for e in examples.values()}))
    imported = {**plan.options.get("imported", {}), config.split: config.harness}
    return replace(plan, splits=splits, checkpoints=tuple(every), options={**plan.options, "imported": imported})


def _order(checkpoint: Checkpoint) -> tuple[bool, int, str]:
    return (True, 0, checkpoint.name) if checkpoint.merged_from else (False, checkpoint.step, "")


def _refuse_own(run: store.Run, checkpoint: str, split: str) -> None:
    """Refuse to replace completions that an audit made.

    Raises:
        BadRequest: there are such.
    """
    path = run.unit_path(checkpoint, split, "samples")
    if path.is_file() and not origin_of(run, checkpoint, split, "samples"):
        raise BadRequest(
            f"{checkpoint} has completions of {split} that an audit made ({path}); allowed: another --split, or --out"
        )
