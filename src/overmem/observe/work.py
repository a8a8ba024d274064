"""The units of work of an audit, (checkpoint, split, kind): which are to do, and doing them.

The two kinds of one split are done in one go where both are to do, so that its prompts are read once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from overmem import store
from overmem.errors import BadCheckpoint
from overmem.models.discovery import CheckpointRef
from overmem.models.files import fingerprint
from overmem.models.loading import Skeleton
from overmem.models.virtual import prefix_of
from overmem.observe.completions import complete
from overmem.observe.engines import Engine, engine_of
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks
from overmem.observe.engines.packed import packed
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.observe.shared_prefill import score_and_sample, supports_shared_prefill
from overmem.observe.throughput import Throughput
from overmem.observe.warmup import measure_throughput
from overmem.records import Completions, Scores

_WARM_UP = 1.0
"""Seconds that scoring and completing are each tried for where nobody asked for the time."""
Progress = Callable[[str, float, float], None]
"""Told (what is done now, seconds of work done, seconds of work in all), both as estimated before the start."""


@dataclass(frozen=True)
class WorkUnit:
    """What is to be observed of one split at one checkpoint: a unit of work for each kind."""

    found: CheckpointRef
    weights: str
    """Fingerprint of the weights."""
    split: Split
    kinds: tuple[str, ...]
    """`scores`, `samples` or both."""


def pending(
    run: store.Run, found: Sequence[CheckpointRef], splits: Mapping[str, Split], base: str | None
) -> tuple[list[WorkUnit], int, dict[str, str]]:
    """What does not stand yet, how many units do, and the checkpoints whose weights cannot be read, with reasons.

    `base` is the folder or hub id of the model that adapters change.
    """
    work, standing, failures = [], 0, {}
    for one in found:
        try:
            weights = fingerprint(one.path, base)
        except BadCheckpoint as error:
            failures[one.checkpoint.name] = str(error)
            continue
        for split in splits.values():
            asked = {"weights": weights, "request": split.request}
            name = one.checkpoint.name
            kinds = tuple(k for k in split.kinds if not store.is_unit_current(run, name, split.name, k, **asked))
            standing += len(split.kinds) - len(kinds)
            if kinds:
                work.append(WorkUnit(one, weights, split, kinds))
    return work, standing, failures


def observe(
    run: store.Run,
    work: Sequence[WorkUnit],
    skeleton: Skeleton,
    tokenizer: Any,
    decoding: Decoding,
    *,
    token_budget: int,
    failures: dict[str, str],
    say: Callable[[str], None],
    progress: Progress,
    throughput: Throughput | None = None,
) -> int:
    """Do the work, each unit written as soon as it is whole; returns how many units were done.

    A checkpoint that cannot be loaded is added to `failures` (and noted in the run); the others go on.
    """
    splits = list({one.split.name: one.split for one in work}.values())
    computed, clock = 0, _Clock(progress)
    with _engine(work, skeleton, decoding, token_budget) as engine:
        for name, group in groupby(work, key=lambda one: one.found.checkpoint.name):
            here = list(group)
            store.drop_other_weights(run, name, here[0].weights)
            try:
                model = skeleton.model(here[0].found)
                with packed(model):
                    if throughput is None:
                        throughput = measure_throughput(
                            model, tokenizer, splits, decoding, token_budget=token_budget, seconds=_WARM_UP
                        )
                    if not clock.total:
                        clock.total = sum(throughput.seconds(one.split, one.kinds) for one in work)
                        units = sum(len(one.kinds) for one in work)
                        say(f"{units} units of work, about {spoken(clock.total)} on {model.device} in {model.dtype}")
                    engine.open(here[0].found, model)
                    shares = supports_shared_prefill(engine, model)
                    for one, kinds in _passes(here, together=shares):
                        each = throughput.seconds(one.split, kinds) / max(1, len(one.split.encoded))
                        advance = clock.started(f"{name} {one.split.name} {' and '.join(kinds)}", each)
                        _do(run, one, kinds, engine, model, tokenizer, decoding, token_budget, advance)
                        computed += len(kinds)
            except BadCheckpoint as error:
                failures[name] = str(error)
    for name, reason in failures.items():
        store.write_failure(run, name, reason)
    for name in {one.found.checkpoint.name for one in work} - set(failures):
        run.failure_path(name).unlink(missing_ok=True)
    return computed


def _passes(work: Sequence[WorkUnit], *, together: bool) -> list[tuple[WorkUnit, tuple[str, ...]]]:
    """Each with the kinds that are made in one go."""
    if together:
        return [(one, one.kinds) for one in work]
    return [(one, (kind,)) for one in work for kind in one.kinds]


@dataclass
class _Clock:
    """How far the work is, in seconds as they were estimated before the start."""

    progress: Progress
    total: float = 0.0
    done: float = 0.0

    def started(self, label: str, each: float) -> Callable[[int], None]:
        """Begin with something that takes so long for each example; returns what to tell when some are done."""
        self.progress(label, self.done, self.total)

        def advance(examples: int) -> None:
            self.done += each * examples
            self.progress(label, self.done, self.total)

        return advance


def _do(
    run: store.Run,
    work: WorkUnit,
    kinds: tuple[str, ...],
    engine: Engine,
    model: Any,
    tokenizer: Any,
    decoding: Decoding,
    token_budget: int,
    advance: Callable[[int], None],
) -> None:
    name, split = work.found.checkpoint.name, _after(prefix_of(model), work.split)
    asked = {"weights": work.weights, "request": split.request}
    scored: Scores | None = None
    drawn: Completions | None = None
    hooks = Hooks(advance)
    if len(kinds) > 1:
        scored, drawn = score_and_sample(engine, model, tokenizer, split, decoding, token_budget, hooks)
    elif "scores" in kinds:
        scored = scores(model, split.encoded, token_budget=token_budget, truncated=split.truncated, advance=advance)
    else:
        drawn = complete(engine, model, tokenizer, split, decoding, hooks)
    if scored is not None:
        store.write_scores(run, name, split.name, scored, **asked)
    if drawn is not None:
        store.write_samples(run, name, split.name, drawn, **asked)


@contextmanager
def _engine(work: Sequence[WorkUnit], skeleton: Skeleton, decoding: Decoding, token_budget: int) -> Iterator[Engine]:
    """The engine that completes, with room for the longest prompt and its completion; closed whatever happens."""
    longest = max((len(e.input_ids) for one in work for e in one.split.encoded), default=0)
    prompts = max((len(e.prompt_ids) for one in work for e in one.split.encoded), default=0)
    adapters = {one.found.path: one.found for one in work if one.found.is_adapter}
    context = max(longest, prompts + decoding.max_new_tokens)
    settings = EngineSettings(skeleton.base, skeleton.dtype, context, tuple(adapters.values()), token_budget)
    engine = engine_of(decoding.engine)(settings)
    try:
        yield engine
    finally:
        engine.close()


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
