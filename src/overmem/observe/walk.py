"""The loop of a worker: take a unit from the queue, load its checkpoint if it is not loaded, observe, write.

Every unit is written atomically when it is complete. The scores and completions of a split are computed together if
they can share a prefill, even if only the completions are missing (a worker may have been killed between the two). So a
unit is identical to the last bit whichever worker does it, and it is harmless if two workers do the same unit.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec

from overmem import store
from overmem.errors import BadCheckpoint, reason_of
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

    Units held by other workers are waited for, because a worker may die. If a checkpoint cannot be loaded or observed,
    the failure is recorded in the run and its other units are left out. Exceptions of `say`, `progress` and
    `on_written` are raised.

    Args:
        setup: what all units share.
        queue: the units.
        say: called with a line on how much work there is.
        progress: called with the progress. None: no progress is reported, and no warm-up is needed to estimate it.
        throughput: the throughput of this machine; measured on the first checkpoint by default.
        on_written: called with each unit after it was written.
        until: whether to end before all units are done; called between units.
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
                except Exception as error:  # loading and forward passes may raise any kind of error
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
        Exception: `error` itself, if it has nothing to do with the checkpoint.
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
            BadCheckpoint: they cannot be loaded, or lack embeddings of tokens in the unit.
        """
        if self.name != unit.checkpoint:
            self.forget()
            self._model = self.setup.skeleton.model(unit.ref)
            self._packing.enter_context(packed(self._model))
            self.engine.open(unit.ref, self._model)
            self.name = unit.checkpoint
        _check_tokens(self._model, unit)
        return self._model

    def forget(self) -> None:
        """Forget the loaded checkpoint, and restore the layers of the model."""
        self.name = None
        self._packing.close()

    def __enter__(self) -> "_LoadedCheckpoint":
        """Nothing is loaded yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the layers of the model."""
        self._packing.close()


def _parts(unit: WorkUnit, *, together: bool) -> list[WorkUnit]:
    """The parts in which a unit is observed: all kinds together, or one kind after the other."""
    return [unit] if together else [replace(unit, kinds=(kind,)) for kind in unit.kinds]


def _observe_unit(
    setup: ObservationSetup, unit: WorkUnit, engine: Engine, model: Model, advance: Callable[[int], None]
) -> int:
    """Observe one unit and write the kinds that are missing; returns how many were written.

    Args:
        setup: what all units share.
        unit: a unit of one kind, or of both if they share a prefill.
        engine: an engine that is open on the checkpoint.
        model: the model with the checkpoint's weights.
        advance: called with the number of examples that are finished, whenever some are.
    """
    split = _with_prefix(prefix_of(model), unit.split)
    tokenizer, decoding, budget, hooks = setup.tokenizer, setup.decoding, setup.token_budget, Hooks(advance)
    scored, sampled = None, None
    if "samples" in unit.kinds and "scores" in unit.split.kinds and supports_shared_prefill(engine, model):
        scored, sampled = score_and_sample(engine, model, tokenizer, split, decoding, budget, hooks)
    elif "scores" in unit.kinds:
        scored = scores(model, split.encoded, token_budget=budget, truncated=split.truncated, advance=advance)
    else:
        sampled = complete(engine, model, tokenizer, split, decoding, hooks)
    # A kind that another worker has written meanwhile is identical; writing it again would delete its grades.
    missing = [k for k in unit.kinds if not is_done(setup.run, unit.checkpoint, unit.split, k, unit.weights)]
    key = {"weights": unit.weights, "request": split.request}
    if scored is not None and "scores" in missing:
        store.write_scores(setup.run, unit.checkpoint, split.name, scored, **key)
    if sampled is not None and "samples" in missing:
        store.write_samples(setup.run, unit.checkpoint, split.name, sampled, **key)
    return len(missing)


def _check_tokens(model: Model, unit: WorkUnit) -> None:
    """Check that the model has an embedding of every token. On a GPU a missing one would end the process.

    Raises:
        BadCheckpoint: it has not.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    largest = max((max(e.input_ids, default=0) for e in unit.split.encoded), default=0)
    if largest >= rows:
        raise BadCheckpoint(
            f"{unit.ref.path} has embeddings of {rows} tokens, but {unit.split.name} has token id {largest}, which was "
            "added to the tokenizer later"
        )


@contextmanager
def _engine(setup: ObservationSetup, work: Sequence[WorkUnit]) -> Iterator[Engine]:
    """The engine for completions, with a context for the longest prompt and its completion; closed at the end."""
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
    """The split with the ids of a soft prompt prepended to every prompt."""
    if not prefix:
        return split
    return replace(split, encoded=tuple(replace(e, prompt_ids=(*prefix, *e.prompt_ids)) for e in split.encoded))
