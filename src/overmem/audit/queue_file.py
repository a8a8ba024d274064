"""The queue of an audit as a file, `queue.json` in the run's overmem folder: everything that a worker needs to know.

Together with the examples it determines the content of every unit, so a worker on any machine that shares the folder
needs only the path of the run. It computes the requests' hashes again and refuses to work if one differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from overmem import store
from overmem.errors import BadRequest
from overmem.models.discovery import CheckpointRef
from overmem.observe.engines.decoding import Decoding
from overmem.observe.plan import Split, planned
from overmem.records import Checkpoint


@dataclass(frozen=True)
class QueueFile:
    """What a worker needs to know."""

    checkpoints: tuple[tuple[Checkpoint, str], ...]
    """The checkpoints to observe, and their weights: a path relative to the run, an absolute path, or a hub id."""
    requests: Mapping[str, str]
    """Split to observe -> hash of its request."""
    tokenizer: str
    """Folder or hub id."""
    base: str | None
    """Folder or hub id of the weights that adapters change."""
    decoding: Mapping[str, Any]
    template: str | None
    context: int
    """Length of the longest example that fits, in tokens."""
    dtype: str
    token_budget: int


def read_queue(run: store.Run) -> QueueFile:
    """What the workers of a run need to know.

    Raises:
        BadRequest: the run was not planned by an audit, or the file is damaged.
    """
    try:
        queue = TypeAdapter(QueueFile).validate_json(run.queue_path.read_bytes())
        decoding_of(queue)  # may not be valid either
        return queue
    except FileNotFoundError:
        raise BadRequest(
            f"{run.root} has no queue (no {run.queue_path}); run `overmem audit {run.root}` first"
        ) from None
    except ValidationError as error:
        raise BadRequest(f"{run.queue_path} cannot be read: {error.errors()[0]['msg'].lower()}") from error


def refs_of(run: store.Run, queue: QueueFile) -> list[CheckpointRef]:
    """The checkpoints to observe, with their paths on this machine."""
    return [CheckpointRef(checkpoint, _from_run(run.root, path)) for checkpoint, path in queue.checkpoints]


def decoding_of(queue: QueueFile) -> Decoding:
    """How completions are drawn."""
    return TypeAdapter(Decoding).validate_python(dict(queue.decoding))


def splits_of(run: store.Run, queue_file: QueueFile, tokenizer: Any) -> dict[str, Split]:
    """The planned splits, encoded again from the run's examples.

    Raises:
        BadRequest: one differs from the plan, because of another version of the tokenizer, of overmem or of the
            examples.
    """
    decoding = decoding_of(queue_file)
    examples = {name: store.read_examples(run, name) for name in queue_file.requests}
    splits = planned(
        tokenizer,
        examples,
        decoding,
        rows={name: len(rows) for name, rows in examples.items()},
        context=queue_file.context,
        template=queue_file.template,
        dtype=queue_file.dtype,
    )
    for name, split in splits.items():
        if split.request != queue_file.requests[name]:
            raise BadRequest(
                f"{run.root}: split {name}, encoded on this machine, differs from the plan (request "
                f"{split.request}, planned {queue_file.requests[name]}); allowed: the same versions of overmem, "
                "transformers and the tokenizer on every machine"
            )
    return splits


def _from_run(root: Path, path: str) -> str:
    return str(root / path) if path.startswith("./") else path
