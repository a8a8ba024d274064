"""Output in the terminal: messages, progress bars, JSON."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment

from overmem.errors import visible_text


class SafeConsole(Console):
    """A console that prints text of runs, models and data, but obeys only rich: no escapes, no hidden characters."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """The segments of what is printed, their text made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_text(segment.text))


stderr = SafeConsole(stderr=True, highlight=False)
stdout = SafeConsole(highlight=False)
if not stdout.is_terminal:
    stdout.width = 160  # a file or a pipe has no width


@dataclass
class Verbosity:
    """How much is printed, set by -q and -v."""

    quiet: bool = False
    """Results and errors only."""
    verbose: bool = False
    """The warnings of third-party libraries too."""


verbosity = Verbosity()


def say(line: str) -> None:
    """Print a message on stderr, unless -q is set."""
    if not verbosity.quiet:
        stderr.print(f"[dim]overmem:[/] {escape(line)}", soft_wrap=not stderr.is_terminal)


def quiet_libraries() -> None:
    """Silence progress bars of third-party libraries, and their warnings unless -v is set."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if not verbosity.verbose:
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        warnings.filterwarnings("ignore", module=r"(?!overmem)")


@contextmanager
def bar() -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar; yields the function that updates it.

    It appears with the first update, so nothing is shown before an early error, and nothing at all with -q.
    """
    columns = (
        TimeRemainingColumn(),
        "left",
        BarColumn(bar_width=20),
        "{task.percentage:>3.0f}%",
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    progress = Progress(*columns, console=stderr, disable=verbosity.quiet)
    task = progress.add_task("", total=None)

    def update(what: str, done: float, total: float) -> None:
        progress.start()
        progress.update(task, description=escape(what), completed=done, total=total)

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()


def print_json(value: object) -> None:
    """Print a result as JSON on stdout."""
    from overmem import store

    json.dump(store.to_jsonable(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
