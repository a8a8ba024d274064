"""One display over all workers of an audit: units done, rate, time left, who does what, and what failed."""

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

from overmem.cli.screen import loudness, say, stderr

if TYPE_CHECKING:
    from overmem.audit.launch import WorkStatus

BETWEEN_LINES = 30.0
"""Seconds between two lines where stderr is no terminal."""
MOST_ROWS = 16
"""Workers that are listed."""


@contextmanager
def workers_screen() -> Iterator[Callable[["WorkStatus"], None]]:
    """A display that appears with the first status; where stderr is a file, a line every half minute."""
    live = Live(console=stderr, refresh_per_second=4, transient=True)
    last = -BETWEEN_LINES

    def show(status: "WorkStatus") -> None:
        nonlocal last
        if loudness.quiet:
            return
        if stderr.is_terminal:
            if not live.is_started:
                live.start()
            live.update(drawn(status))
        elif time.monotonic() - last >= BETWEEN_LINES or status.done == status.total:
            last = time.monotonic()
            say(line(status))

    try:
        yield show
    finally:
        if live.is_started:
            live.stop()


def line(status: "WorkStatus") -> str:
    """The status in a line."""
    parts = [f"{status.done} of {status.total} units", f"{status.units_per_minute:.1f} per minute"]
    if status.seconds_left is not None and status.done < status.total:
        parts.append(f"about {clock(status.seconds_left)} left")
    parts.append(f"{len(status.workers)} of {status.alive} workers busy")
    if status.failures:
        parts.append(f"{len(status.failures)} checkpoints failed: {', '.join(status.failures)}")
    return "; ".join(parts)


def drawn(status: "WorkStatus") -> RenderableType:
    """The status as a bar, and a row per worker."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for worker in status.workers[:MOST_ROWS]:
        table.add_row(f"  {escape(worker.name)}", escape(worker.unit), f"{clock(worker.seconds)}")
    if len(status.workers) > MOST_ROWS:
        table.add_row(f"  and {len(status.workers) - MOST_ROWS} more", "", "")
    for name, reason in status.failures.items():
        table.add_row("  [yellow]failed[/]", f"{escape(name)}: {escape(reason)}", "")
    return Group(ProgressBar(total=1.0, completed=status.share, width=40), Text(line(status)), table)


def clock(seconds: float) -> str:
    """A time as 0:42, 12:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
