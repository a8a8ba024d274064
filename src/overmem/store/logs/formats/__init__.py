"""The formats of trainers' logs: one file per format, one table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from overmem.store.logs.formats.csv_tables import read_csv
from overmem.store.logs.formats.json_lines import read_json_lines
from overmem.store.logs.formats.markdown import read_markdown
from overmem.store.logs.formats.tensorboard import read_events
from overmem.store.logs.formats.text_logs import read_text_log
from overmem.store.logs.formats.trainer_state import read_trainer_state
from overmem.store.logs.rows import LogPart


@dataclass(frozen=True)
class Format:
    """A format: its file patterns and its reader."""

    patterns: tuple[str, ...]
    """Globs relative to the run's folder; a single file is recognized by its name in the same way."""
    read: Callable[[Path], list[LogPart]]


FORMATS: Mapping[str, Format] = {
    "trainer state": Format(("trainer_state.json", "checkpoint-*/trainer_state.json"), read_trainer_state),
    "LLaMA-Factory": Format(("trainer_log.jsonl",), read_json_lines),
    "ms-swift": Format(("logging.jsonl",), read_json_lines),
    "JSON lines": Format(("*.jsonl", "*.ndjson"), read_json_lines),
    "log history": Format(("log_history.json", "*history*.json", "*log*.json", "*metrics*.json"), read_trainer_state),
    "CSV": Format(("*.csv", "*.tsv"), read_csv),
    "TensorBoard": Format(("**/*tfevents*",), read_events),
    "model card": Format(("*.md",), read_markdown),
    "text": Format(("*.log", "*.txt", "*.out"), read_text_log),
}
"""In order of preference: the first format with an evaluation is read."""


def format_of(path: Path) -> Format:
    """The format of a single file, by its name; text if no pattern matches."""
    for form in FORMATS.values():
        if any(path.match(pattern.removeprefix("**/")) for pattern in form.patterns):
            return form
    return FORMATS["log history" if path.suffix == ".json" else "text"]
