"""Whether a checkpoint that another process may still be writing is complete."""

from pathlib import Path

from overmem.models.files import json_object, safetensors_header

STATE = "trainer_state.json"
"""The file that transformers writes last."""
Stamp = tuple[tuple[str, int, int], ...]
"""(name, size, modification time) of each file."""


def stamp_of(folder: Path) -> Stamp:
    """Name, size and modification time of every file in a checkpoint's folder; empty if the folder is gone."""
    stamps = []
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                status = path.stat()
                stamps.append((path.name, status.st_size, status.st_mtime_ns))
    except FileNotFoundError:  # it is being deleted
        return ()
    return tuple(stamps)


def is_complete(folder: Path, previous: Stamp | None) -> bool:
    """Whether everything that an audit reads of a checkpoint has been written.

    Every weight file must be as long as its header says, and every shard in an index must exist. In addition, either
    the trainer's state exists, which transformers writes last, or nothing has changed since `previous`.

    Args:
        folder: the checkpoint's folder.
        previous: its `stamp_of` some seconds ago; None if there is none.
    """
    try:
        files = sorted(folder.glob("*.safetensors"))
        if not files or not all(_has_full_length(path) for path in files):
            return False
        indexed = {
            name
            for path in folder.glob("*.safetensors.index.json")
            for name in dict(json_object(path)["weight_map"]).values()
        }
        if indexed - {path.name for path in files}:
            return False
        if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
            return False
        return state_of(folder) is not None or (previous is not None and previous == stamp_of(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def state_of(folder: Path) -> tuple[int, int] | None:
    """The step in a checkpoint's trainer state, and the last step of the training; None if it cannot be read."""
    try:
        state = json_object(folder / STATE)
        return int(state["global_step"]), int(state["max_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _has_full_length(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    with path.open("rb") as file:
        entries, start = safetensors_header(file)
    end_offsets: list[int] = [int(entry["data_offsets"][1]) for entry in entries.values()]
    return path.stat().st_size == start + max(end_offsets, default=0)
