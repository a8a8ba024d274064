"""Output in the terminal: messages, progress bars, JSON."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

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


ROOM_FOR_A_BAR = 60
"""Columns of a terminal from which a progress bar has a bar and the time passed, not only the time left."""

GAP = 2
"""Spaces between the columns of a table."""


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


def print_text(console: Console, markup: str, indent: str = "", *, hanging: str | None = None) -> None:
    """Print text, wrapped between words in a terminal and on one line in a file or a pipe.

    Args:
        console: where to; its width counts.
        markup: the text, in rich's markup.
        indent: what every line begins with.
        hanging: what the lines after the first begin with instead.
    """
    if not console.is_terminal:
        console.print(indent + markup, soft_wrap=True)
        return
    hanging = indent if hanging is None else hanging
    width = max(20, console.width - max(len(indent), len(hanging)))
    for i, line in enumerate(Text.from_markup(markup).wrap(console, width)):
        console.print(Text(hanging if i else indent) + line, overflow="fold", no_wrap=False)


def fits(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table is narrow enough for a console, so that no cell is truncated."""
    columns = zip(headings, *([Text.from_markup(cell).plain for cell in row] for row in rows), strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    return sum(widths) + GAP * len(widths) <= console.width


def print_table(console: Console, headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    """Print a table.

    Args:
        console: where to.
        headings: of the columns, each with whether it has numbers, which are aligned to the right.
        rows: cells in rich's markup.
    """
    table = Table(box=None, padding=(0, GAP, 0, 0))
    for heading, is_number in headings:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


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
    fixed = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        TimeRemainingColumn(table_column=fixed),
        TextColumn("left", table_column=fixed),
        TextColumn("{task.percentage:>3.0f}%", table_column=fixed),
        TextColumn("{task.description}", table_column=Column(overflow="fold")),  # takes several lines if need be
    ]
    if stderr.width >= ROOM_FOR_A_BAR:
        width = min(20, stderr.width - ROOM_FOR_A_BAR + 5)
        columns[2:2] = [BarColumn(bar_width=width, table_column=fixed)]
        columns[4:4] = [TimeElapsedColumn(table_column=fixed)]
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
