"""A merge as a model in memory: the tensors that `merge` would write, copied one by one into the model that scores."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from overmem import store
from overmem.merging.opening import bound_rule, opened_blend
from overmem.merging.options import Merge
from overmem.merging.verb import sources_of
from overmem.models.discovery import CheckpointRef
from overmem.models.unsaved import UnsavedWeights


@contextmanager
def unsaved_merge(config: Merge, run: store.Run, refs: Sequence[CheckpointRef]) -> Iterator[UnsavedWeights]:
    """The weights of a merge without writing it; they equal those that `merge` writes, to the last bit.

    Args:
        config: what to merge, and how.
        run: the run.
        refs: its checkpoints.

    Raises:
        BadRequest: an unknown checkpoint, rule or knob, or adapters of different settings.
        BadCheckpoint: weights that are pickled, truncated, quantized, or of a different shape than the others.
    """
    rule = bound_rule(config)
    sources, base = sources_of(config, run, list(refs))
    last = [source for source in sources if source is not base][-1]
    with ExitStack() as stack:
        blend = opened_blend(config, rule, sources, base, stack)
        shapes = {name: entry.shape for name, entry in blend.entries.items()}
        yield UnsavedWeights(last, shapes, blend.tensor, blend.config)
