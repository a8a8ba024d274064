"""What a person sees in the terminal: words and progress."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)
if not stdout.is_terminal:
    stdout.width = 160  # a file or a pipe has no width of its own


@dataclass
class Loudness:
    """How much is printed, as -q and -v say."""

    quiet: bool = False
    """Results and errors only."""
    verbose: bool = False
    """The warnings of third-party libraries too."""


loudness = Loudness()


def say(line: str) -> None:
    """One line of words, which -q leaves out."""
    if not loudness.quiet:
        stderr.print(f"[dim]overmem:[/] {escape(line)}", soft_wrap=not stderr.is_terminal)


def quiet_libraries() -> None:
    """Silence the bars and warnings of third-party libraries, unless -v was given."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if not loudness.verbose:
        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        warnings.filterwarnings("ignore", module=r"(?!overmem)")


@contextmanager
def bar() -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar, the time left first; yields the function that moves it. It appears with the first move.

    So nothing is drawn before an error, and nothing at all under -q.
    """
    columns = (
        TimeRemainingColumn(),
        "left",
        BarColumn(bar_width=20),
        "{task.percentage:>3.0f}%",
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    progress = Progress(*columns, console=stderr, disable=loudness.quiet)
    task = progress.add_task("", total=None)

    def move(what: str, done: float, total: float) -> None:
        progress.start()
        progress.update(task, description=escape(what), completed=done, total=total)

    try:
        yield move
    finally:
        if progress.live.is_started:
            progress.stop()


def print_json(value: object) -> None:
    """A result as JSON on stdout."""
    from overmem import store

    json.dump(store.to_jsonable(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
