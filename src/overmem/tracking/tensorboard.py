"""TensorBoard: an event file with curves, and the verdict and the examples as text."""

import time
from html import escape

from overmem.tracking.record import TrackedVerdict


def tensorboard(verdict: TrackedVerdict) -> str:
    """Write an event file into the verdict's folder, in place of an earlier one with curves; returns the folder."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.plugins.text import metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    if verdict.curves:
        for earlier in verdict.folder.glob("events.out.tfevents.*"):
            earlier.unlink()
    verdict.folder.mkdir(parents=True, exist_ok=True)
    writer = EventFileWriter(str(verdict.folder))

    def write(step: int, value: Summary.Value) -> None:
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def write_text(name: str, text: str) -> None:
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape)
        about = metadata.create_summary_metadata(display_name=name, description="")
        write(verdict.step, Summary.Value(tag=name, metadata=about, tensor=tensor))

    for step, values in verdict.curves.items():
        for name, value in values.items():
            write(step, Summary.Value(tag=name, simple_value=value))
    for name, value in verdict.numbers.items():
        write(verdict.step, Summary.Value(tag=name, simple_value=value))
    write_text("overmem/verdict", verdict.text)
    if verdict.examples:
        lines = [verdict.columns, ("---",) * len(verdict.columns), *(map(_cell, row) for row in verdict.examples)]
        write_text("overmem/examples", "\n".join(f"| {' | '.join(line)} |" for line in lines))
    writer.close()
    return str(verdict.folder)


def _cell(text: str) -> str:
    """Text in a Markdown table, without any markup of its own."""
    return escape(text).replace("|", "&#124;").replace("\n", "<br>").replace("`", "&#96;").replace("*", "&#42;")
