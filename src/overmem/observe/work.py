"""The units of work of an audit, (checkpoint, split, kind): which are to be done, and doing them.

Units are independent, and each is written atomically when it is complete. `observe` is the walk over them: whatever
order they come in, a checkpoint's weights are loaded when its first unit needs them. Both kinds of one split are made
together where one prefill can serve both.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from overmem import store
from overmem.errors import BadCheckpoint, reason_of
from overmem.models.discovery import CheckpointRef
from overmem.models.files import fingerprint
from overmem.models.loading import Model, Skeleton
from overmem.models.virtual import prefix_of
from overmem.observe.completions import complete
from overmem.observe.engines import Engine, engine_of
from overmem.observe.engines.decoding import Decoding, EngineSettings, Hooks
from overmem.observe.engines.packed import packed
from overmem.observe.plan import Split
from overmem.observe.score import scores
from overmem.observe.shared_prefill import score_and_sample, supports_shared_prefill
from overmem.observe.throughput import Throughput, format_duration
from overmem.observe.warmup import measure_throughput
from overmem.store.imported import answers_all

_WARM_UP = 1.0
"""Seconds that scoring and completing are each tried for, where no estimate was requested."""
Progress = Callable[[str, float, float], None]
"""Called with what is being done, the seconds of work done and the seconds of all work, as estimated at the start."""


@dataclass(frozen=True)
class WorkUnit:
    """What is to be observed of one split at one checkpoint: a unit of work for each kind."""

    ref: CheckpointRef
    weights: str
    """Fingerprint of the weights."""
    split: Split
    kinds: tuple[str, ...]
    """`scores`, `samples` or both."""

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        return self.ref.checkpoint.name

    def __str__(self) -> str:
        """`checkpoint-50 val scores and samples`."""
        return f"{self.checkpoint} {self.split.name} {' and '.join(self.kinds)}"


@dataclass(frozen=True)
class ObservationSetup:
    """What all units of one audit share."""

    run: store.Run
    skeleton: Skeleton
    """Loads the weights of every checkpoint."""
    tokenizer: Any
    decoding: Decoding
    token_budget: int
    """Most padded tokens in one forward pass."""


def pending(
    run: store.Run, refs: Sequence[CheckpointRef], splits: Mapping[str, Split], base: str | None
) -> tuple[list[WorkUnit], int, dict[str, str]]:
    """The units to do, checkpoint by checkpoint; how many are already done; and why some checkpoints are unreadable.

    Args:
        run: the run.
        refs: the checkpoints to observe.
        splits: the splits to observe.
        base: folder or hub id of the model that adapters change.
    """
    work, already_done, failures = [], 0, {}
    for ref in refs:
        name = ref.checkpoint.name
        try:
            weights = fingerprint(ref.path, base)
        except BadCheckpoint as error:
            failures[name] = str(error)
            continue
        for split in splits.values():
            kinds = tuple(k for k in split.kinds if not _is_done(run, name, weights, split, k))
            already_done += len(split.kinds) - len(kinds)
            if kinds:
                work.append(WorkUnit(ref, weights, split, kinds))
    return work, already_done, failures


def _is_done(run: store.Run, checkpoint: str, weights: str, split: Split, kind: str) -> bool:
    """Whether a unit is current, or completions of the same questions were imported from another harness's log."""
    if store.is_unit_current(run, checkpoint, split.name, kind, weights=weights, request=split.request):
        return True
    ids = [example.id for example in split.examples]
    return kind == "samples" and answers_all(run, checkpoint, split.name, ids, weights)


def observe(
    setup: ObservationSetup,
    work: Sequence[WorkUnit],
    *,
    failures: dict[str, str],
    say: Callable[[str], None],
    progress: Progress,
    throughput: Throughput | None = None,
    on_written: Callable[[WorkUnit], None] = lambda unit: None,
) -> int:
    """Do the work, each unit written as soon as it is complete; returns how many units were done.

    A checkpoint that cannot be loaded or observed is added to `failures` (and noted in the run); others are observed.

    Args:
        setup: what all units share.
        work: the units to do. Those of one checkpoint should come one after another: its weights are then loaded once.
        failures: checkpoint -> why it cannot be observed. Its units are skipped.
        say: called with a line on how much work there is.
        progress: called with how far the work is.
        throughput: of this machine; measured on the first checkpoint by default.
        on_written: called with each unit after it was written.
    """
    computed, clock = 0, None
    with _engine(setup, work) as engine, _LoadedCheckpoint(setup, engine) as loaded:
        for unit in work:
            if unit.checkpoint in failures:
                continue
            try:
                model = loaded.model_for(unit)
                clock = clock or _started_clock(setup, work, model, throughput, say, progress)
                for part in _parts(unit, together=supports_shared_prefill(engine, model)):
                    _observe_unit(setup, part, engine, model, clock.start(part))
                    computed += len(part.kinds)
                    on_written(part)
            except Exception as error:  # libraries raise anything, in a forward pass too
                failures[unit.checkpoint] = reason_of(error)
    for name, reason in failures.items():
        store.write_failure(setup.run, name, reason)
    for name in {unit.checkpoint for unit in work} - set(failures):
        setup.run.failure_path(name).unlink(missing_ok=True)
    return computed


@dataclass
class _LoadedCheckpoint:
    """The one checkpoint whose weights are in memory. Loading another replaces it."""

    setup: ObservationSetup
    engine: Engine
    _name: str | None = None
    _model: Model = None
    _packing: ExitStack = field(default_factory=ExitStack)

    def model_for(self, unit: WorkUnit) -> Model:
        """The model with the weights of a unit's checkpoint. Units of other weights are deleted before they load.

        Raises:
            BadCheckpoint: they cannot be loaded.
        """
        if self._name != unit.checkpoint:
            self._name = None
            self._packing.close()
            store.drop_other_weights(self.setup.run, unit.checkpoint, unit.weights)
            self._model = self.setup.skeleton.model(unit.ref)
            self._packing.enter_context(packed(self._model))
            self.engine.open(unit.ref, self._model)
            self._name = unit.checkpoint
        return self._model

    def __enter__(self) -> "_LoadedCheckpoint":
        """Nothing is loaded yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """The model's layers are its own again."""
        self._packing.close()


def _parts(unit: WorkUnit, *, together: bool) -> list[WorkUnit]:
    """A unit as it is observed: both kinds together, or one after the other."""
    return [unit] if together else [replace(unit, kinds=(kind,)) for kind in unit.kinds]


def _observe_unit(
    setup: ObservationSetup, unit: WorkUnit, engine: Engine, model: Model, advance: Callable[[int], None]
) -> None:
    """Observe one unit and write it.

    Args:
        setup: what all units share.
        unit: of one kind, or of both where one prefill can serve both.
        engine: what completes; it is open on the checkpoint.
        model: the model with the checkpoint's weights.
        advance: called with the number of examples that are finished, whenever some are.
    """
    split = _with_prefix(prefix_of(model), unit.split)
    tokenizer, decoding, budget, hooks = setup.tokenizer, setup.decoding, setup.token_budget, Hooks(advance)
    scored, drawn = None, None
    if len(unit.kinds) > 1:
        scored, drawn = score_and_sample(engine, model, tokenizer, split, decoding, budget, hooks)
    elif "scores" in unit.kinds:
        scored = scores(model, split.encoded, token_budget=budget, truncated=split.truncated, advance=advance)
    else:
        drawn = complete(engine, model, tokenizer, split, decoding, hooks)
    key = {"weights": unit.weights, "request": split.request}
    if scored is not None:
        store.write_scores(setup.run, unit.checkpoint, split.name, scored, **key)
    if drawn is not None:
        store.write_samples(setup.run, unit.checkpoint, split.name, drawn, **key)


@contextmanager
def _engine(setup: ObservationSetup, work: Sequence[WorkUnit]) -> Iterator[Engine]:
    """The engine that completes, with room for the longest prompt and its completion; closed whatever happens."""
    longest = max((len(e.input_ids) for unit in work for e in unit.split.encoded), default=0)
    prompts = max((len(e.prompt_ids) for unit in work for e in unit.split.encoded), default=0)
    adapters = {unit.ref.path: unit.ref for unit in work if unit.ref.is_adapter}
    skeleton, context = setup.skeleton, max(longest, prompts + setup.decoding.max_new_tokens)
    settings = EngineSettings(skeleton.base, skeleton.dtype, context, tuple(adapters.values()), setup.token_budget)
    engine = engine_of(setup.decoding.engine)(settings)
    try:
        yield engine
    finally:
        engine.close()


def _with_prefix(prefix: tuple[int, ...], split: Split) -> Split:
    """The split with the ids of a learnt prompt before every prompt of its own."""
    if not prefix:
        return split
    return replace(split, encoded=tuple(replace(e, prompt_ids=(*prefix, *e.prompt_ids)) for e in split.encoded))


@dataclass
class _Clock:
    """How far the work is, in seconds as they were estimated at the start."""

    progress: Progress
    throughput: Throughput
    total: float
    done: float = 0.0

    def start(self, unit: WorkUnit) -> Callable[[int], None]:
        """Show that a unit is being done; returns what to call with the number of its examples that are finished."""
        each = self.throughput.seconds(unit.split, unit.kinds) / max(1, len(unit.split.encoded))
        self.progress(str(unit), self.done, self.total)

        def advance(examples: int) -> None:
            self.done += each * examples
            self.progress(str(unit), self.done, self.total)

        return advance


def _started_clock(
    setup: ObservationSetup,
    work: Sequence[WorkUnit],
    model: Model,
    throughput: Throughput | None,
    say: Callable[[str], None],
    progress: Progress,
) -> _Clock:
    """A clock for all the work, by the throughput of this machine; `say` is called with the estimate.

    Args:
        setup: what all units share.
        work: all units.
        model: a checkpoint to measure the throughput on.
        throughput: of this machine, where it was measured before.
        say: called with one line.
        progress: what the clock calls.
    """
    if throughput is None:
        splits = list({unit.split.name: unit.split for unit in work}.values())
        throughput = measure_throughput(
            model, setup.tokenizer, splits, setup.decoding, token_budget=setup.token_budget, seconds=_WARM_UP
        )
    total = sum(throughput.seconds(unit.split, unit.kinds) for unit in work)
    count = sum(len(unit.kinds) for unit in work)
    say(f"{count} units of work, about {format_duration(total)} on {model.device} in {model.dtype}")
    return _Clock(progress, throughput, total)
