"""TensorBoard event files, including those of Keras, whose evaluations are in a folder `validation`."""

from pathlib import Path

from overmem.errors import BadRequest
from overmem.store.logs.files import printable
from overmem.store.logs.rows import LogPart, rows_of

_VALIDATION = ("validation", "val", "eval")
"""Folders that contain evaluations only."""


def read_events(path: Path) -> list[LogPart]:
    """The scalars of one event file, a row per step.

    Raises:
        BadRequest: tensorboard is not installed, or not even the beginning of the file can be read.
    """
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError as error:
        raise BadRequest(
            f"reading {printable(path)} needs TensorBoard: pip install 'overmem[tensorboard]' (or export the curves "
            "as CSV)"
        ) from error
    rows: dict[int, dict[str, object]] = {}
    prefix = "val_" if path.parent.name in _VALIDATION else ""
    try:
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                numbers = value.tensor.float_val or value.tensor.double_val
                numbers = numbers or ([value.simple_value] if value.HasField("simple_value") else [])
                if value.tensor.tensor_content and not numbers:
                    numbers = _content(value.tensor)
                if len(numbers) == 1:
                    tag = value.tag.removeprefix("epoch_").removeprefix("evaluation_") if prefix else value.tag
                    tag = f"{prefix}{tag.split('_vs_')[0]}" if prefix else tag
                    row = rows.setdefault(event.step, {"step": event.step})
                    row["epoch" if tag == "train/epoch" else tag] = float(numbers[0])
    except Exception as error:  # the library raises many kinds of errors on damaged files
        if not rows:
            raise BadRequest(f"{printable(path)} is not a TensorBoard event file: {type(error).__name__}") from error
    return [LogPart(path, rows_of(rows.values()))]


def _content(tensor: object) -> list[float]:
    from tensorboard.util.tensor_util import make_ndarray

    return [float(x) for x in make_ndarray(tensor).ravel()[:2]]
