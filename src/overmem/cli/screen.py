"""What a person sees in the terminal: words, progress, the table of checkpoints."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from overmem import store
from overmem.records import REGIMES, Estimate, Verdict

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False)
if not stdout.is_terminal:
    stdout.width = 160  # a file or a pipe has no width of its own


def say(line: str) -> None:
    """One line of words."""
    stderr.print(f"[dim]overmem:[/] {escape(line)}", soft_wrap=True)


def quiet_libraries() -> None:
    """Let no library draw bars of its own between ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def bar() -> Iterator[Callable[[str, float, float], None]]:
    """A progress bar with time left; yields the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), "{task.percentage:>3.0f}%")
    with Progress(*columns, TimeElapsedColumn(), "elapsed,", TimeRemainingColumn(), "left", console=stderr) as progress:
        task = progress.add_task("", total=None)

        def move(what: str, done: float, total: float) -> None:
            progress.update(task, description=escape(what), completed=done, total=total)

        yield move


def show_verdict(run: store.Run, verdict: Verdict) -> None:
    """The verdict in words, the table of checkpoints and what the usual rules would have cost."""
    stdout.print(f"\n[bold]{escape(verdict.headline)}[/]", soft_wrap=True)
    for sentence in verdict.sentences:
        stdout.print(f"  {escape(sentence)}", soft_wrap=True)
    for warning in verdict.warnings:
        stdout.print(f"  [yellow]![/] {escape(warning)}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("checkpoint", "epoch"):
        table.add_column(heading, no_wrap=True)
    for heading in ("nll / token", "excess", "accuracy", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("regime", no_wrap=True)
    chosen = verdict.recommended.checkpoint if verdict.recommended else None
    for one in verdict.checkpoints:
        name = one.checkpoint.name
        table.add_row(
            f"[bold]{escape(name)} ←[/]" if name == chosen else escape(name),
            "" if one.checkpoint.epoch is None else f"{one.checkpoint.epoch:g}",
            interval(one.nll),
            interval(one.excess),
            interval(one.accuracy),
            str(one.accuracy.n or one.nll.n),
            f"[{REGIMES[one.regime].colour}]{escape(one.regime)}[/]",
        )
    stdout.print()
    stdout.print(table)
    confirmed = verdict.recommended is not None and verdict.recommended.is_confirmed
    on_val, on_test = (" on val", " on test") if confirmed else ("", "")
    if verdict.choices:
        rules = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("rule", f"picks{on_val}"):
            rules.add_column(heading, no_wrap=True)
        for heading in (f"accuracy{on_test}", f"nll{on_test}", "accuracy it costs"):
            rules.add_column(heading, justify="right", no_wrap=True)
        for choice in verdict.choices:
            picked = escape(choice.checkpoint or "nothing")
            rules.add_row(
                escape(choice.rule), picked, interval(choice.accuracy), interval(choice.nll), interval(choice.regret)
            )
        stdout.print()
        stdout.print(rules)
    how = "Judged on val, confirmed on test. " if confirmed else ""
    stdout.print(
        "\n[dim]95% intervals. nll: minus the log probability of a token, in nats; perplexity is its exponential."
    )
    stdout.print(f"[dim]{how}{escape(str(run.verdict_path))}[/]", soft_wrap=True)


def interval(estimate: Estimate) -> str:
    """A value with its interval, or why there is none."""
    if estimate.value is None:
        return f"[dim]{escape(estimate.note or 'not measured')}[/]"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [dim]{estimate.low:.3f}..{estimate.high:.3f}[/]"


def print_json(value: object) -> None:
    """A result as JSON on stdout."""
    json.dump(store.to_jsonable(value), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
