"""A verdict in the terminal: the table and the main sentences, and everything else with --why.

Names, regimes and n are never truncated. If the terminal is too narrow for a row, intervals are dropped first, then
epoch and excess; then each checkpoint takes two lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from overmem.cli.screen import stdout
from overmem.records import REGIMES, CheckpointVerdict, Choice, Estimate, Verdict

if TYPE_CHECKING:
    from overmem import store

MAIN_SENTENCES = 5
"""Sentences that are shown without --why."""

GAP = 2
"""Spaces between columns."""

HEADINGS = ("checkpoint", "epoch", "nll per token", "excess", "accuracy", "n", "regime")
NUMBERS = {"nll per token", "excess", "accuracy", "n"}
"""Right-aligned columns."""


@dataclass(frozen=True)
class Layout:
    """Which columns a row has, and whether they include intervals."""

    with_excess: bool
    """Whether epoch and excess are shown."""
    nll: Callable[[Estimate], str]
    accuracy: Callable[[Estimate], str]


def show_verdict(run: "store.Run", verdict: Verdict, *, why: bool = False) -> None:
    """Print the headline, the table of checkpoints and the main sentences.

    Args:
        run: the run, whose folder has the verdict.
        verdict: the verdict.
        why: whether to print every sentence and warning, and what the other selection rules would have cost.
    """
    _print_text(f"\n[bold]{escape(verdict.headline)}[/]")
    stdout.print()
    _print_checkpoints(verdict)
    stdout.print()
    sentences = verdict.sentences if why else verdict.sentences[:MAIN_SENTENCES]
    for sentence in sentences:
        _print_text(escape(sentence), "  ")
    for warning in verdict.warnings if why else verdict.warnings[:1]:
        _print_text(f"[bold]![/] {escape(warning)}", "  ")
    if why:
        _print_choices(verdict)
    hidden = len(verdict.sentences) - len(sentences) + (0 if why else max(0, len(verdict.warnings) - 1))
    if hidden or (verdict.choices and not why):
        more = f"Everything else ({hidden} more sentences and warnings)" if hidden else "The other selection rules"
        _print_text(f"[dim]{more}: overmem diagnose {escape(str(run.root))} --why[/]")
    confirmed = _is_confirmed(verdict)
    method = "Judged on val, confirmed on test. " if confirmed else ""
    unit = "the loss is in nats" if verdict.evidence == "curves only" else "nll is in nats per token"
    _print_text(f"[dim]{method}Intervals are 95%; {unit}, perplexity its exponential; excess is of the trend.[/]")
    if run.verdict_path.is_file():
        _print_text(f"[dim]{escape(str(run.verdict_path))}[/]")


def interval(estimate: Estimate) -> str:
    """A value with its interval, or the reason why there is none, in rich's markup."""
    if estimate.value is None:
        return f"[dim]{escape(estimate.note or 'not measured')}[/]"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    middle, low, high = (round(x, 3) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{middle:.3f} [dim]{low:.3f}..{high:.3f}[/]"


def value(estimate: Estimate) -> str:
    """A value without its interval."""
    return "–" if estimate.value is None else f"{estimate.value:.3f}"


LAYOUTS = (
    Layout(True, interval, interval),
    Layout(True, value, interval),
    Layout(True, value, value),
    Layout(False, value, value),
)
"""From wide to narrow; the first one that fits is used."""


def _print_checkpoints(verdict: Verdict) -> None:
    for layout in LAYOUTS:
        rows = [_cells(checkpoint_verdict, verdict.shipped, layout) for checkpoint_verdict in verdict.checkpoints]
        named = [_heading(heading, verdict) for heading in _headings(layout)]
        if _fits(named, rows):
            numbers = [heading in NUMBERS for heading in _headings(layout)]
            return _print_table(list(zip(named, numbers, strict=True)), rows)
    for checkpoint_verdict in verdict.checkpoints:
        name, nll, accuracy, n, regime = _cells(checkpoint_verdict, verdict.shipped, LAYOUTS[-1])
        _print_text(name)
        loss = "loss" if verdict.evidence == "curves only" else "nll"
        _print_text(f"{regime}, {loss} {nll}, {escape(verdict.accuracy_name)} {accuracy}, n {n}", "  ")
    return None


def _heading(heading: str, verdict: Verdict) -> str:
    """The heading of a column: a log has a loss instead of an nll, and may have another score than accuracy."""
    shown = dict(zip(verdict.HEADINGS, verdict.headings, strict=True))
    return escape(shown.get(heading, heading))


def _is_confirmed(verdict: Verdict) -> bool:
    """Whether the choices were evaluated on test."""
    best = verdict.recommended or verdict.best
    return best is not None and best.is_confirmed


def _headings(layout: Layout) -> list[str]:
    return [heading for heading in HEADINGS if layout.with_excess or heading not in ("epoch", "excess")]


def _cells(checkpoint_verdict: CheckpointVerdict, shipped: str | None, layout: Layout) -> list[str]:
    name = escape(checkpoint_verdict.checkpoint.name)
    cells = {
        "checkpoint": f"[bold]{name} ←[/]" if checkpoint_verdict.checkpoint.name == shipped else name,
        "epoch": "" if checkpoint_verdict.checkpoint.epoch is None else f"{checkpoint_verdict.checkpoint.epoch:.4g}",
        "nll per token": layout.nll(checkpoint_verdict.nll),
        "excess": layout.nll(checkpoint_verdict.excess),
        "accuracy": layout.accuracy(checkpoint_verdict.accuracy),
        "n": str(checkpoint_verdict.accuracy.n or checkpoint_verdict.nll.n or "–"),
        "regime": f"[{REGIMES[checkpoint_verdict.regime].colour}]{escape(checkpoint_verdict.regime)}[/]",
    }
    return [cells[heading] for heading in _headings(layout)]


def _print_choices(verdict: Verdict) -> None:
    if not verdict.choices:
        return
    confirmed = _is_confirmed(verdict)
    on_val, on_test = (" on val", " on test") if confirmed else ("", "")
    headings = ("rule", f"picks{on_val}", f"accuracy{on_test}", f"nll{on_test}", "accuracy it costs")
    stdout.print()
    for show in (interval, value):
        rows = [_choice(choice, show) for choice in verdict.choices]
        if _fits(headings, rows):
            return _print_table([(heading, column > 1) for column, heading in enumerate(headings)], rows)
    for choice in verdict.choices:
        rule, picked, accuracy, nll, regret = _choice(choice, value)
        _print_text(f"{rule}: {picked}")
        _print_text(f"accuracy{on_test} {accuracy}, nll{on_test} {nll}, accuracy it costs {regret}", "  ")
    return None


def _choice(choice: Choice, show: Callable[[Estimate], str]) -> list[str]:
    numbers = (choice.accuracy, choice.nll, choice.regret)
    return [escape(choice.rule), escape(choice.checkpoint or "nothing"), *map(show, numbers)]


def _fits(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    columns = zip(headings, *([Text.from_markup(cell).plain for cell in row] for row in rows), strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    return sum(widths) + GAP * len(widths) <= stdout.width


def _print_table(headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, padding=(0, GAP, 0, 0))
    for heading, is_number in headings:
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    stdout.print(table)


def _print_text(markup: str, indent: str = "") -> None:
    """Print text, wrapped between words in a terminal and on one line in a file or a pipe."""
    if not stdout.is_terminal:
        stdout.print(indent + markup, soft_wrap=True)
        return
    for line in Text.from_markup(markup).wrap(stdout, max(20, stdout.width - len(indent))):
        stdout.print(Text(indent) + line, overflow="fold", no_wrap=False)
