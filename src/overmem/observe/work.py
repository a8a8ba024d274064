"""The units of work of an audit, (checkpoint, split, kind): which are to do, and doing them one by one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overmem import store
from overmem.checkpoints import Found, Skeleton, fingerprint
from overmem.errors import BadCheckpoint
from overmem.observe.grade import samples
from overmem.observe.pace import Pace
from overmem.observe.plan import Split
from overmem.observe.sample import Decoding
from overmem.observe.score import scores
from overmem.observe.vllm import Served, served_samples
from overmem.observe.warmup import warmed_up
from overmem.virtual import prefix_of

_WARM_UP = 1.0
"""Seconds that scoring and completing are each tried for where nobody asked for the time."""
Progress = Callable[[str, float, float], None]
"""Told (what is done now, seconds of work done, seconds of work in all), both as estimated before the start."""


@dataclass(frozen=True)
class Unit:
    """One observation to make."""

    found: Found
    weights: str
    """Fingerprint of the weights."""
    split: Split
    kind: str
    """`scores` or `samples`."""


def pending(
    run: store.Run, found: Sequence[Found], splits: Mapping[str, Split]
) -> tuple[list[Unit], int, dict[str, str]]:
    """The units that do not stand yet, how many do, and the checkpoints whose weights cannot be read, with reasons."""
    units, standing, failures = [], 0, {}
    for one in found:
        try:
            weights = fingerprint(one.path)
        except BadCheckpoint as error:
            failures[one.checkpoint.name] = str(error)
            continue
        for split in splits.values():
            for kind in split.kinds:
                asked = {"weights": weights, "request": split.request}
                if store.unit_stands(run, one.checkpoint.name, split.name, kind, **asked):
                    standing += 1
                else:
                    units.append(Unit(one, weights, split, kind))
    return units, standing, failures


def observe(
    run: store.Run,
    units: Sequence[Unit],
    skeleton: Skeleton,
    tokenizer: Any,
    decoding: Decoding,
    *,
    token_budget: int,
    failures: dict[str, str],
    say: Callable[[str], None],
    progress: Progress,
    pace: Pace | None = None,
) -> int:
    """Do the units, each written as soon as it is whole; returns how many were done.

    A checkpoint that cannot be loaded is added to `failures` (and noted in the run); the others go on.
    """
    splits = list({u.split.name: u.split for u in units}.values())
    served = _served(units, skeleton, decoding) if decoding.engine == "vllm" else None
    done, total, computed = 0.0, 0.0, 0
    for unit in units:
        name = unit.found.checkpoint.name
        if name in failures:
            continue
        try:
            model = skeleton.model(unit.found)
        except BadCheckpoint as error:
            failures[name] = str(error)
            continue
        if pace is None:
            pace = warmed_up(model, tokenizer, splits, decoding, token_budget=token_budget, seconds=_WARM_UP)
        if not total:
            total = sum(pace.seconds(u.split, u.kind) for u in units)
            say(f"{len(units)} units of work, about {spoken(total)} on {model.device} in {model.dtype}")
        each = pace.seconds(unit.split, unit.kind) / max(1, len(unit.split.encoded))
        label = f"{name} {unit.split.name} {unit.kind}"
        progress(label, done, total)

        def advance(examples: int, label: str = label, each: float = each, total: float = total) -> None:
            nonlocal done
            done += each * examples
            progress(label, done, total)

        try:
            _do(run, unit, model, tokenizer, decoding, token_budget, advance, served)
        except BadCheckpoint as error:
            failures[name] = str(error)
            continue
        computed += 1
    if served is not None:
        served.close()
    _note(run, units, failures)
    return computed


def _note(run: store.Run, units: Sequence[Unit], failures: Mapping[str, str]) -> None:
    """Keep why a checkpoint could not be observed, and forget it of those that could."""
    for name, reason in failures.items():
        store.write_failure(run, name, reason)
    for name in {u.found.checkpoint.name for u in units} - set(failures):
        run.failure_path(name).unlink(missing_ok=True)


def _do(
    run: store.Run,
    unit: Unit,
    model: Any,
    tokenizer: Any,
    decoding: Decoding,
    token_budget: int,
    advance: Callable[[int], None],
    served: Served | None,
) -> None:
    name, split = unit.found.checkpoint.name, _after(prefix_of(model), unit.split)
    asked = {"weights": unit.weights, "request": split.request}
    if unit.kind == "scores":
        observed = scores(model, split.encoded, token_budget=token_budget, truncated=split.truncated, advance=advance)
        store.write_scores(run, name, split.name, observed, **asked)
    else:
        if served is None:
            drawn = samples(model, tokenizer, split, decoding, token_budget, advance)
        else:
            drawn = served_samples(served, unit.found, model, tokenizer, split, decoding)
            advance(len(split.encoded))
        store.write_samples(run, name, split.name, drawn, **asked)


def _served(units: Sequence[Unit], skeleton: Skeleton, decoding: Decoding) -> Served:
    """An engine with room for the longest prompt and its completion, and for the adapters among the checkpoints."""
    longest = max((len(e.input_ids) for u in units for e in u.split.encoded), default=0)
    prompts = max((len(e.prompt_ids) for u in units for e in u.split.encoded), default=0)
    adapters = {u.found.path: u.found for u in units if u.found.is_adapter}
    room = max(longest, prompts + decoding.max_new_tokens)
    return Served(skeleton.base, skeleton.dtype, room, list(adapters.values()))


def _after(prefix: tuple[int, ...], split: Split) -> Split:
    """The split with the ids of a learnt prompt before every prompt of its own."""
    if not prefix:
        return split
    return replace(split, encoded=tuple(replace(e, prompt_ids=(*prefix, *e.prompt_ids)) for e in split.encoded))


def spoken(seconds: float) -> str:
    """A time in words: 20 seconds, 5 minutes, 2.5 hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
