"""A verdict in the terminal: the table and the main sentences, and everything else with --why.

Names, regimes and n are never truncated. If the terminal is too narrow for a row, intervals are dropped first, then
epoch and excess; then each checkpoint takes two lines.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rich.markup import escape

from overmem.cli.screen import fits, print_table, print_text, stdout
from overmem.records import REGIMES, CheckpointVerdict, Choice, Estimate, Verdict

if TYPE_CHECKING:
    from overmem import store

MAIN_SENTENCES = 5
"""Sentences that are shown without --why."""
TRAINERS = "the trainer's own best model"
"""In the sentence on what the trainer's own choice would cost."""

HEADINGS = ("checkpoint", "epoch", "nll per token", "excess", "accuracy", "n", "regime")
NUMBERS = {"nll per token", "excess", "accuracy", "n"}
"""Right-aligned columns."""


@dataclass(frozen=True)
class Layout:
    """Which columns a row has, and whether they include intervals."""

    with_excess: bool
    """Whether epoch and excess are shown."""
    nll: Callable[[Estimate, int], str]
    accuracy: Callable[[Estimate, int], str]


def show_verdict(run: "store.Run", verdict: Verdict, *, why: bool = False) -> None:
    """Print the headline, the table of checkpoints and the main sentences.

    Args:
        run: the run, whose folder has the verdict.
        verdict: the verdict.
        why: whether to print every sentence and warning, and what the other selection rules would have cost.
    """
    print_text(stdout, f"\n[bold]{escape(verdict.headline)}[/]")
    stdout.print()
    _print_checkpoints(verdict)
    stdout.print()
    sentences = verdict.sentences if why else main_sentences(verdict)
    for sentence in sentences:
        print_text(stdout, escape(sentence), "  ", hanging="    ")
    for warning in verdict.warnings if why else verdict.warnings[:1]:
        print_text(stdout, f"[bold]![/] {escape(warning)}", "  ", hanging="    ")
    if why:
        _print_choices(verdict)
    hidden = len(verdict.sentences) - len(sentences) + (0 if why else max(0, len(verdict.warnings) - 1))
    if hidden or (verdict.choices and not why):
        what = "sentence or warning" if hidden == 1 else "sentences and warnings"
        more = f"Everything else ({hidden} more {what})" if hidden else "The other selection rules"
        print_text(stdout, f"{more}: overmem diagnose {escape(str(run.root))} --why")
    confirmed = _is_confirmed(verdict)
    method = "Judged on val, confirmed on test. " if confirmed else ""
    unit = "the loss is in nats" if verdict.evidence == "curves only" else "nll is in nats per token"
    print_text(
        stdout, f"[dim]{method}Intervals are 95%; {unit}, perplexity its exponential; excess is of the trend.[/]"
    )
    if run.verdict_path.is_file():
        print_text(stdout, f"[dim]{escape(str(run.verdict_path))}[/]")


def main_sentences(verdict: Verdict) -> tuple[str, ...]:
    """The first sentences, with the recommendation and the price of the trainer's own choice among them."""
    advice = ("Recommended is ", "None is recommended.")
    kept = {i for i, s in enumerate(verdict.sentences) if s.startswith(advice) or TRAINERS in s}
    others = (i for i in range(len(verdict.sentences)) if i not in kept)
    kept |= set(islice(others, max(0, MAIN_SENTENCES - len(kept))))
    return tuple(s for i, s in enumerate(verdict.sentences) if i in kept)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """A value with its interval, or the reason why there is none, in rich's markup."""
    if estimate.value is None:
        return f"[dim]{escape(estimate.note or 'not measured')}[/]"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    middle, low, high = (round(x, digits) + 0.0 for x in (estimate.value, estimate.low, estimate.high))
    return f"{middle:.{digits}f} [dim]{low:.{digits}f}..{high:.{digits}f}[/]"


def value(estimate: Estimate, digits: int = 3) -> str:
    """A value without its interval."""
    return "–" if estimate.value is None else f"{estimate.value:.{digits}f}"


LAYOUTS = (
    Layout(True, interval, interval),
    Layout(True, value, interval),
    Layout(True, value, value),
    Layout(False, value, value),
)
"""From wide to narrow; the first one that fits is used."""


def _print_checkpoints(verdict: Verdict) -> None:
    for layout in LAYOUTS:
        rows = [_cells(checkpoint_verdict, verdict, layout) for checkpoint_verdict in verdict.checkpoints]
        named = [_heading(heading, verdict, layout) for heading in _headings(layout)]
        if fits(stdout, named, rows):
            numbers = [heading in NUMBERS for heading in _headings(layout)]
            return print_table(stdout, list(zip(named, numbers, strict=True)), rows)
    for checkpoint_verdict in verdict.checkpoints:
        name, nll, accuracy, n, regime = _cells(checkpoint_verdict, verdict, LAYOUTS[-1])
        print_text(stdout, name)
        loss = "loss" if verdict.evidence == "curves only" else "nll"
        print_text(stdout, f"{regime}, {loss} {nll}, {escape(verdict.accuracy_name)} {accuracy}, n {n}", "  ")
    return None


def _heading(heading: str, verdict: Verdict, layout: Layout) -> str:
    """The heading of a column: a log has a loss instead of an nll, and may have another score than accuracy."""
    shown = dict(zip(verdict.HEADINGS, verdict.headings, strict=True))
    full = escape(shown.get(heading, heading))
    return full if layout.nll is interval else full.removesuffix(" per token")  # the unit is in the last line too


def _is_confirmed(verdict: Verdict) -> bool:
    """Whether the choices were evaluated on test."""
    best = verdict.recommended or verdict.best
    return best is not None and best.is_confirmed


def _headings(layout: Layout) -> list[str]:
    return [heading for heading in HEADINGS if layout.with_excess or heading not in ("epoch", "excess")]


def _cells(checkpoint_verdict: CheckpointVerdict, verdict: Verdict, layout: Layout) -> list[str]:
    name, digits = escape(checkpoint_verdict.checkpoint.name), verdict.nll_decimals
    cells = {
        "checkpoint": f"[bold]{name} ←[/]" if checkpoint_verdict.checkpoint.name == verdict.shipped else name,
        "epoch": "" if checkpoint_verdict.checkpoint.epoch is None else f"{checkpoint_verdict.checkpoint.epoch:.4g}",
        "nll per token": layout.nll(checkpoint_verdict.nll, digits),
        "excess": layout.nll(checkpoint_verdict.excess, digits),
        "accuracy": layout.accuracy(checkpoint_verdict.accuracy, 3),
        "n": str(checkpoint_verdict.accuracy.n or checkpoint_verdict.nll.n or "–"),
        "regime": _regime(checkpoint_verdict.regime),
    }
    return [cells[heading] for heading in _headings(layout)]


def _regime(name: str) -> str:
    """A regime behind a mark in its colour; the name has the terminal's own, which is readable on every background."""
    colour = REGIMES[name].colour
    return f"{'○' if colour == 'default' else f'[{colour}]●[/]'} {escape(name)}"


def _print_choices(verdict: Verdict) -> None:
    if not verdict.choices:
        return
    confirmed = _is_confirmed(verdict)
    on_val, on_test = (" on val", " on test") if confirmed else ("", "")
    score = escape(verdict.accuracy_name)
    headings = ("rule", f"picks{on_val}", f"{score}{on_test}", f"nll{on_test}", f"{score} it costs")
    stdout.print()
    short = ("rule", "picks", score, "nll", "it costs")
    for show, named in ((interval, headings), (value, headings), (value, short)):
        rows = [_choice(choice, show, verdict.nll_decimals) for choice in verdict.choices]
        if fits(stdout, named, rows):
            return print_table(stdout, [(heading, column > 1) for column, heading in enumerate(named)], rows)
    for choice in verdict.choices:
        rule, picked, accuracy, nll, regret = _choice(choice, value, verdict.nll_decimals)
        print_text(stdout, f"{rule}: {picked}")
        print_text(stdout, f"{score}{on_test} {accuracy}, nll{on_test} {nll}, {score} it costs {regret}", "  ")
    return None


def _choice(choice: Choice, show: Callable[[Estimate, int], str], digits: int) -> list[str]:
    numbers = [show(choice.accuracy, 3), show(choice.nll, digits), show(choice.regret, 3)]
    return [escape(choice.rule), escape(choice.checkpoint or "nothing"), *numbers]
