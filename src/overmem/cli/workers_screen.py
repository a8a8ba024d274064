"""The display for all workers of an audit: units done, rate, time left, each worker's unit, and failures."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from overmem.cli.screen import say, stderr, verbosity

if TYPE_CHECKING:
    from overmem.audit.launch import WorkStatus

LINE_INTERVAL = 30.0
"""Seconds between two lines if stderr is not a terminal."""
MAX_ROWS = 16
"""Maximum number of workers that are listed."""


@contextmanager
def workers_screen() -> Iterator[Callable[["WorkStatus"], None]]:
    """A live display that appears with the first status; if stderr is not a terminal, a line every half minute."""
    live = Live(console=stderr, refresh_per_second=4, transient=True)
    last_printed = -LINE_INTERVAL

    def show(status: "WorkStatus") -> None:
        nonlocal last_printed
        if verbosity.quiet:
            return
        if stderr.is_terminal:
            if not live.is_started:
                live.start()
            live.update(render(status))
        elif time.monotonic() - last_printed >= LINE_INTERVAL or status.done == status.total:
            last_printed = time.monotonic()
            say(status_line(status))

    try:
        yield show
    finally:
        if live.is_started:
            live.stop()


def status_line(status: "WorkStatus") -> str:
    """The status as one line."""
    parts = [f"{status.done} of {status.total} units", f"{status.units_per_minute:.1f} per minute"]
    if status.seconds_left is not None and status.done < status.total:
        parts.append(f"about {clock(status.seconds_left)} left")
    parts.append(f"{len(status.workers)} of {status.alive} workers busy")
    if status.failures:
        parts.append(f"{len(status.failures)} checkpoints failed: {', '.join(status.failures)}")
    return "; ".join(parts)


def render(status: "WorkStatus") -> RenderableType:
    """The status as a bar, and a row per worker."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for worker in status.workers[:MAX_ROWS]:
        table.add_row(f"  {escape(worker.name)}", escape(worker.unit), f"{clock(worker.seconds)}")
    if len(status.workers) > MAX_ROWS:
        table.add_row(f"  and {len(status.workers) - MAX_ROWS} more", "", "")
    for name, reason in status.failures.items():
        table.add_row("  [yellow]failed[/]", f"{escape(name)}: {escape(reason)}", "")
    return Group(ProgressBar(total=1.0, completed=status.share, width=40), Text(status_line(status)), table)


def clock(seconds: float) -> str:
    """A time as 0:42, 12:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
