"""Writing the plan of an audit: examples, token texts, plan.json, and the queue that workers read."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from overmem import store
from overmem.audit.previous_plan import with_previous_plan
from overmem.audit.queue_file import QueueFile, read_queue
from overmem.audit.workload import Workload
from overmem.errors import BadRequest, Locked
from overmem.observe.grades import sandbox_for
from overmem.observe.imported import adopt_imported
from overmem.observe.plan import plan_of
from overmem.observe.shown import shown_example
from overmem.observe.token_texts import token_texts
from overmem.store.leases import Leases

LAUNCH_OPTIONS = ("workers", "executor", "slurm", "until")
"""Options of how an audit is carried out, not of what it measures; they are not part of the plan."""


def publish(workload: Workload, say: Callable[[str], None] = lambda line: None) -> None:
    """Write the plan and everything that workers need. The caller holds the run's lock.

    Args:
        workload: the units, and the request.
        say: called with a line on imported completions.

    Raises:
        Locked: workers are observing by another plan.
    """
    request, splits = workload.request, workload.splits
    run, config = request.run, request.config
    queue = _queue_file(workload)
    _refuse_if_workers_have_another_plan(run, queue)
    for split in splits.values():
        if request.data is not None or split.name not in request.held_out:  # otherwise the run has the only copy
            store.write_examples(run, split.name, split.examples)
    used = {token for split in splits.values() for e in split.encoded for token in e.solution_ids}
    store.write_token_texts(run, store.read_token_texts(run) | token_texts(request.tokenizer, used))
    _write_shown_example(workload)
    options = {name: value for name, value in asdict(config).items() if name not in LAUNCH_OPTIONS}
    sandbox = sandbox_for((e for split in splits.values() for e in split.examples), run_code=request.config.run_code)
    plan = plan_of(
        options | dict(request.options) | ({} if sandbox is None else {"sandbox": sandbox.name}),
        request.data,
        request.decoding,
        request.template,
        request.base,
        [ref.checkpoint for ref in request.refs],
        splits,
        request.carved_splits,
    )
    previous = () if request.previous_plan is None else request.previous_plan.checkpoints
    if adopted := adopt_imported(run, previous, request.refs, splits, request.skeleton.base):
        say(f"imported completions are used for {adopted} units")
    store.write_plan(run, with_previous_plan(run, plan, request.previous_plan, request.skeleton.base))
    store.write_json(run.queue_path, queue)
    weights = {unit.checkpoint: unit.weights for unit in workload.work}
    for name in weights:
        store.drop_other_weights(run, name, weights[name])
        store.clear_failure(run, name)
    for name, reason in workload.failures.items():
        store.write_failure(run, name, reason)


def _write_shown_example(workload: Workload) -> None:
    """Write one example as the model reads it, from the split that checkpoints are judged on."""
    request, splits = workload.request, workload.splits
    judged = splits.get("val") or splits.get("test") or next(iter(splits.values()))
    by_recipe = request.config.data is None and "data" in store.read_recipe(request.run)
    rows = len(request.held_out.get(judged.name, judged.examples))
    shown = shown_example(request.tokenizer, judged, rows=rows, by_recipe=by_recipe)
    if shown is not None and (judged.name in ("val", "test") or store.read_shown(request.run) is None):
        store.write_shown(request.run, shown)


def _queue_file(workload: Workload) -> QueueFile:
    request = workload.request
    return QueueFile(
        tuple((ref.checkpoint, _relative_to_run(request.run.root, ref.path)) for ref in request.refs),
        {split.name: split.request for split in workload.splits.values()},
        _absolute(str(request.tokenizer.name_or_path)),
        None if request.skeleton.base is None else _absolute(request.skeleton.base),
        store.to_jsonable(request.decoding),
        request.template,
        request.context,
        request.options["dtype"],
        request.config.token_budget,
    )


def _refuse_if_workers_have_another_plan(run: store.Run, queue: QueueFile) -> None:
    if not run.queue_path.is_file():
        return
    try:
        current = read_queue(run)
    except BadRequest:
        return  # damaged: no worker reads it
    if (current.requests, current.checkpoints) == (dict(queue.requests), queue.checkpoints):
        return
    leases = Leases()
    busy = [path for path in run.home.glob("observations/*/.*.lease") if leases.is_held(path)]
    names: Sequence[str] = [f"{path.parent.name} {path.name[1:].removesuffix('.lease')}" for path in busy]
    if names:
        raise Locked(
            f"workers are observing {', '.join(sorted(names)[:3])} of {run.root} by another plan; wait for them to end "
            "(a lease of a killed worker expires after half a minute), or give --out"
        )


def _absolute(path: str) -> str:
    return str(Path(path).resolve()) if Path(path).exists() else path


def _relative_to_run(root: Path, path: str) -> str:
    """A path that is valid on every machine that shares the run directory: relative to the run if it is inside."""
    folder = Path(path)
    if not folder.exists():
        return path
    resolved, home = folder.resolve(), root.resolve()
    return f"./{resolved.relative_to(home)}" if resolved.is_relative_to(home) else str(resolved)
