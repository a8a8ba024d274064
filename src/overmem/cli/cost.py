"""Print the estimate of an audit: a table, then time and memory."""

from rich.markup import escape
from rich.table import Table

from overmem.audit import AuditEstimate
from overmem.cli.screen import stdout
from overmem.observe.throughput import format_duration


def show_cost(cost: AuditEstimate) -> None:
    """Print the cost and precision of each split, then time and memory."""
    for name, reason in cost.failures.items():
        stdout.print(f"  [yellow]![/] {escape(name)}: {escape(reason)}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("split", no_wrap=True)
    for heading in ("examples", "tokens scored", "generated", "time", "accuracy", "nll / token"):
        table.add_column(heading, justify="right", no_wrap=True)
    for split in cost.splits:
        table.add_row(
            escape(split.split),
            str(split.examples),
            f"{split.scored_tokens:,}",
            f"{split.generated_tokens:,}",
            format_duration(split.seconds),
            "" if split.accuracy_half_width is None else f"{split.accuracy:.2f} ± {split.accuracy_half_width:.3f}",
            "" if split.nll_half_width is None else f"± {split.nll_half_width:.3f}",
        )
    stdout.print(table)
    if cost.shown is not None:
        ends = " or ".join(map(repr, cost.shown.ends)) or "no token of the tokenizer"
        stdout.print(
            f"\nAs the model reads it, for example\n  prompt    {escape(repr(cost.shown.prompt))}\n"
            f"  solution  {escape(repr(cost.shown.solution))}\nA completion ends at {escape(ends)}.",
            soft_wrap=True,
            highlight=False,
        )
    memory = f"{cost.memory_bytes / 2**30:.1f} GiB at the peak" if cost.memory_bytes else "memory unknown"
    stdout.print(
        f"\n{cost.units} units of work at {len(cost.checkpoints)} checkpoints; {cost.already_done} are done already.\n"
        f"About [bold]{format_duration(cost.seconds)}[/] on {cost.device} in {cost.dtype}, "
        f"{format_duration(cost.most_seconds)} if every completion runs to its limit; {memory}. "
        "Probes and the report take extra time.",
        soft_wrap=True,
    )
    stdout.print(
        f"[dim]Estimated by a warm-up of {format_duration(cost.warm_up_seconds)} on one checkpoint. ± is half the 95% "
        "interval at one checkpoint; the difference of two on the same examples is more exact. Nothing was written.[/]",
        soft_wrap=True,
    )
