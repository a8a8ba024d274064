"""Importing the logs of other evaluation harnesses into a run, for `diagnose` and `report`."""

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
from overmem.evaluations.questions import examples_by_key, matched
from overmem.evaluations.steps import checkpoint_at, steps_of
from overmem.grading import graders_of
from overmem.probes.measure import measured
from overmem.records import Checkpoint, Example, Plan, PlannedSplit
from overmem.store.imported import REQUEST, origin_of, write_imported_samples, write_totals
from overmem.store.plan import time_order

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
    """Number of solutions with a likelihood, summed over checkpoints."""
    solutions: int
    """Number of questions whose solution the logs have, so that an audit can score it."""


@dataclass(frozen=True)
class _CheckpointLogs:
    """One checkpoint and its logs."""

    checkpoint: Checkpoint
    logs: tuple[EvaluationLog, ...]


def import_logs(config: ImportLogs, *, say: Callable[[str], None] = lambda line: None) -> Imported:
    """Write the questions, completions and likelihoods of other harnesses' logs into a run.

    Args:
        config: the logs, and the run.
        say: called with each choice that was made by default: order, metric, what was left out.

    Raises:
        BadRequest: no log, no step in its name, several tasks without --task, or a split that was audited.
        BadData: a file was not written by the harness.
        Locked: another process writes to the run.
    """
    _check(config)
    root = Path(config.run)
    root.mkdir(parents=True, exist_ok=True)
    run = store.open_run(root, config.out)
    by_checkpoint = _logs_by_checkpoint(config, run, say)
    checkpoints = tuple(c.checkpoint for c in by_checkpoint)
    logs = [log for c in by_checkpoint for log in c.logs]
    for note in dict.fromkeys(note for log in logs for note in log.notes):
        say(note)
    plan = store.find_plan(run)
    examples, request = _examples(config, run, plan, logs, say)
    tokenizer = _tokenizer(config, root, logs, say) if needs_tokenizer(logs) else None
    for checkpoint in checkpoints:
        _refuse_audited(run, checkpoint.name, config.split)
    completions = scored = 0
    with store.locked(run):
        store.write_examples(run, config.split, list({e.id: e for e in examples.values()}.values()))
        for c in by_checkpoint:
            name = c.checkpoint.name
            origin = f"{config.harness} {next((log.metric for log in c.logs if log.metric), 'likelihoods')}"
            graded = samples_of(c.logs, examples, tokenizer, grader=config.grader)
            if graded is not None:
                samples, grades = graded
                keeps_grades = config.grader == "log" and _is_graded(c.logs)
                grader = "" if keeps_grades else graders_of(examples.values())
                write_imported_samples(
                    run, name, config.split, samples, grades, origin=origin, grader=grader, request=request
                )
                completions += len(samples.text)
            totals = totals_of(c.logs, examples, tokenizer)
            if totals is not None:
                write_totals(run, name, config.split, totals, origin=origin, request=request)
                scored += len(totals.example_ids)
        store.write_plan(run, _extended_plan(plan, config, checkpoints, examples, request))
        read = store.snapshot_reader(run)
        store.write_measurements(run, tuple(measured(store.read_checkpoints(run), read)))
    solutions = sum(bool(example.solution) for example in examples.values())
    return Imported(run, config.split, checkpoints, len(examples), completions, scored, solutions)


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


def _logs_by_checkpoint(config: ImportLogs, run: store.Run, say: Callable[[str], None]) -> list[_CheckpointLogs]:
    """The logs of each checkpoint, in time order."""
    read = [(Path(p), _selected_tasks(FORMATS[config.harness](Path(p), config.metric), config)) for p in config.logs]
    steps = steps_of([(path, logs[0]) for path, logs in read], config.checkpoints)
    if len({step for step, _ in steps}) < len(steps):
        listed = ", ".join(f"{path} ({step})" for (path, _), (step, _) in zip(read, steps, strict=True))
        raise BadRequest(f"two logs are of one checkpoint: {listed}; allowed: one log per checkpoint (--checkpoints)")
    history = store.read_log_history(run)
    by_checkpoint = [
        _CheckpointLogs(checkpoint_at(run.root, step, history), tuple(logs))
        for (_, logs), (step, _) in zip(read, steps, strict=True)
    ]
    by_checkpoint.sort(key=lambda c: c.checkpoint.step)
    sources = " or ".join(dict.fromkeys(source for _, source in steps))
    say(f"checkpoints by the number in {sources}: {', '.join(c.checkpoint.name for c in by_checkpoint)}")
    metrics = dict.fromkeys(log.metric for c in by_checkpoint for log in c.logs if log.metric)
    graded_by = "graded by" if config.grader == "log" else f"regraded by overmem's {config.grader}, not by"
    tasks = dict.fromkeys(log.task for c in by_checkpoint for log in c.logs)
    listed = " and ".join(metrics) or "nothing: likelihoods only"
    say(f"split {config.split}: {', '.join(tasks)}, {graded_by} {config.harness}'s {listed}")
    return by_checkpoint


def _selected_tasks(logs: Sequence[EvaluationLog], config: ImportLogs) -> list[EvaluationLog]:
    """The logs of the tasks that the user named; all by default, if they are of the same questions."""
    tasks = [log.task for log in logs]
    for task in config.task:
        if task not in tasks:
            raise unknown("task", task, tasks, str(logs[0].path))
    if not config.task and len(logs) > 1:
        keys = [{question.key for question in log.questions} for log in logs]
        if not set.intersection(*keys):
            raise BadRequest(
                f"{logs[0].path.parent} has the tasks {', '.join(tasks)}; choose those of one split with --task, and "
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
        imported = store.read_examples(run, config.split) if planned is not None else ()
        # Examples of an earlier import are kept: its logs may have had other questions.
        return {**{f"imported before {e.id}": e for e in imported}, **examples}, REQUEST
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
    """The tokenizer that counts the tokens of each likelihood; None, with a message, if there is none."""
    models = re.findall(r"(?:^|,)(?:pretrained|model)=([^,]+)", logs[0].model) or [logs[0].model]
    folders = [config.tokenizer] if config.tokenizer else [str(root), *(str(p) for p in root.glob("*/")), *models]
    for folder in folders:
        if config.tokenizer or any((Path(folder) / n).is_file() for n in ("tokenizer.json", "tokenizer_config.json")):
            from overmem.models.discovery import load_tokenizer

            try:
                return load_tokenizer(folder)
            except OvermemError:
                if config.tokenizer:
                    raise
    say("no nll: the likelihoods are sums over an unknown number of tokens; give --tokenizer to count them")
    return None


def _extended_plan(
    plan: Plan | None,
    config: ImportLogs,
    checkpoints: Sequence[Checkpoint],
    examples: Mapping[str, Example],
    request: str,
) -> Plan:
    """The run's plan with the imported split and checkpoints added."""
    plan = plan or Plan({}, (), base=None, versions={"overmem": overmem.__version__})
    names = {c.name for c in plan.checkpoints}
    merged = sorted([*plan.checkpoints, *(c for c in checkpoints if c.name not in names)], key=time_order)
    splits = {**plan.splits}
    if splits.get(config.split, PlannedSplit(REQUEST)).request == REQUEST:
        splits[config.split] = PlannedSplit(request, len({e.id for e in examples.values()}))
    imported = {**plan.options.get("imported", {}), config.split: config.harness}
    return replace(plan, splits=splits, checkpoints=tuple(merged), options={**plan.options, "imported": imported})


def _refuse_audited(run: store.Run, checkpoint: str, split: str) -> None:
    """Refuse to replace completions that were sampled by an audit.

    Raises:
        BadRequest: there are some.
    """
    path = run.unit_path(checkpoint, split, "samples")
    if path.is_file() and not origin_of(run, checkpoint, split, "samples"):
        raise BadRequest(
            f"{checkpoint} has completions of {split} sampled by an audit ({path}); allowed: another --split, or --out"
        )
