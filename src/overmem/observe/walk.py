"""A worker's walk over the queue: take a unit, load its checkpoint's weights if they are not loaded, observe, write.

Every unit is written atomically when it is complete. Both kinds of one split are made together where one prefill can
serve both, even if only the completions are missing, as after a worker that was killed between the two: so a unit is
the same to the last bit whoever makes it, and a unit that two workers did is harmless.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec

from overmem import store
from overmem.errors import reason_of
from overmem.models.loading import Model
from overmem.models.virtual import prefix_of
from overmem.observe.clock import Clock, Progress, started_clock
from overmem.observe.completions import complete
from overmem.observe.engines import Engine, engine_of
from overmem.observe.engines.decoding import EngineSettings, Hooks
from overmem.observe.engines.packed import packed
from overmem.observe.plan import Split
from overmem.observe.queue import WorkQueue
from overmem.observe.score import scores
from overmem.observe.shared_prefill import score_and_sample, supports_shared_prefill
from overmem.observe.throughput import Throughput
from overmem.observe.work import ObservationSetup, WorkUnit, is_done

_P = ParamSpec("_P")


def observe(
    setup: ObservationSetup,
    queue: WorkQueue,
    *,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
    throughput: Throughput | None = None,
    on_written: Callable[[WorkUnit], None] = lambda unit: None,
    until: Callable[[], bool] = lambda: False,
) -> int:
    """Do units until all are done; returns how many were done here.

    Units that other workers hold are waited for, because a worker may die. A checkpoint that cannot be loaded or
    observed is noted in the run, and its other units are left out. An exception of `say`, `progress` or `on_written`
    is not a checkpoint's: it is raised.

    Args:
        setup: what all units share.
        queue: the units.
        say: called with a line on how much work there is.
        progress: called with how far the work is. None for none, and no warm-up to estimate it.
        throughput: of this machine; measured on the first checkpoint by default.
        on_written: called with each unit after it was written.
        until: whether to end before all is done; asked between units.
    """
    computed, clock = 0, None
    from_caller: list[Exception] = []
    say, on_written = _recording(say, from_caller), _recording(on_written, from_caller)
    progress = None if progress is None else _recording(progress, from_caller)
    with _engine(setup, queue.units) as engine, _LoadedCheckpoint(setup, engine) as loaded:
        while not until():
            taken = queue.take(loaded.name)
            if taken is None:
                if queue.wait(until):
                    continue
                break
            unit, lease = taken
            with lease:
                try:
                    model = loaded.model_for(unit)
                    if progress is not None and clock is None:
                        clock = started_clock(setup, queue.units, model, throughput, say, progress)
                    if clock is not None:
                        clock.done_elsewhere(queue.finished)
                    start = time.monotonic()
                    computed += _do(setup, unit, engine, model, clock)
                    queue.pace.record(unit, time.monotonic() - start)
                    on_written(unit)
                except Exception as error:  # libraries raise anything, in a forward pass too
                    if error in from_caller:
                        raise
                    store.write_failure(setup.run, unit.checkpoint, _reason(error, unit))
                    loaded.forget()
    return computed


def _recording(callback: Callable[_P, None], raised: list[Exception]) -> Callable[_P, None]:
    """`callback`, with every exception that it raises appended to `raised`."""

    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except Exception as error:
            raised.append(error)
            raise

    return call


def _do(setup: ObservationSetup, unit: WorkUnit, engine: Engine, model: Model, clock: Clock | None) -> int:
    """Observe one unit and write it; returns how many kinds were written."""
    written = 0
    for part in _parts(unit, together=supports_shared_prefill(engine, model)):
        advance = clock.start(part) if clock is not None else lambda examples: None
        written += _observe_unit(setup, part, engine, model, advance)
    return written


def _reason(error: Exception, unit: WorkUnit) -> str:
    """Why a checkpoint cannot be observed.

    Raises:
        Exception: `error` itself, where it is not the checkpoint's.
    """
    path = Path(unit.ref.path)
    if isinstance(error, FileNotFoundError) and path.is_absolute() and not path.exists():
        return f"{path} was deleted while it was being read"
    return reason_of(error)


@dataclass
class _LoadedCheckpoint:
    """The one checkpoint whose weights are in memory. Loading another replaces it."""

    setup: ObservationSetup
    engine: Engine
    name: str | None = None
    _model: Model = None
    _packing: ExitStack = field(default_factory=ExitStack)

    def model_for(self, unit: WorkUnit) -> Model:
        """The model with the weights of a unit's checkpoint.

        Raises:
            BadCheckpoint: they cannot be loaded.
        """
        if self.name != unit.checkpoint:
            self.forget()
            self._model = self.setup.skeleton.model(unit.ref)
            self._packing.enter_context(packed(self._model))
            self.engine.open(unit.ref, self._model)
            self.name = unit.checkpoint
        return self._model

    def forget(self) -> None:
        """No checkpoint is loaded; the model's layers are its own again."""
        self.name = None
        self._packing.close()

    def __enter__(self) -> "_LoadedCheckpoint":
        """Nothing is loaded yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """The model's layers are its own again."""
        self._packing.close()


def _parts(unit: WorkUnit, *, together: bool) -> list[WorkUnit]:
    """A unit as it is observed: all kinds of its split together, or the missing ones one after the other."""
    return [unit] if together else [replace(unit, kinds=(kind,)) for kind in unit.kinds]


def _observe_unit(
    setup: ObservationSetup, unit: WorkUnit, engine: Engine, model: Model, advance: Callable[[int], None]
) -> int:
    """Observe one unit and write what of it is not there; returns how many kinds were written.

    Args:
        setup: what all units share.
        unit: of one kind, or of whatever is missing where one prefill can serve both.
        engine: what completes; it is open on the checkpoint.
        model: the model with the checkpoint's weights.
        advance: called with the number of examples that are finished, whenever some are.
    """
    split = _with_prefix(prefix_of(model), unit.split)
    tokenizer, decoding, budget, hooks = setup.tokenizer, setup.decoding, setup.token_budget, Hooks(advance)
    scored, drawn = None, None
    if "samples" in unit.kinds and "scores" in unit.split.kinds and supports_shared_prefill(engine, model):
        scored, drawn = score_and_sample(engine, model, tokenizer, split, decoding, budget, hooks)
    elif "scores" in unit.kinds:
        scored = scores(model, split.encoded, token_budget=budget, truncated=split.truncated, advance=advance)
    else:
        drawn = complete(engine, model, tokenizer, split, decoding, hooks)
    # What another worker wrote meanwhile is equal, and is not written again: its grades would be removed.
    missing = [k for k in unit.kinds if not is_done(setup.run, unit.checkpoint, unit.split, k, unit.weights)]
    key = {"weights": unit.weights, "request": split.request}
    if scored is not None and "scores" in missing:
        store.write_scores(setup.run, unit.checkpoint, split.name, scored, **key)
    if drawn is not None and "samples" in missing:
        store.write_samples(setup.run, unit.checkpoint, split.name, drawn, **key)
    return len(missing)


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
    """The split with the ids of a soft prompt before every prompt."""
    if not prefix:
        return split
    return replace(split, encoded=tuple(replace(e, prompt_ids=(*prefix, *e.prompt_ids)) for e in split.encoded))
