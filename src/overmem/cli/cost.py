"""What an audit would cost, as a person reads it."""

from rich.markup import escape
from rich.table import Table

from overmem.audit import AuditEstimate
from overmem.cli.screen import stdout
from overmem.observe.work import spoken


def show_cost(cost: AuditEstimate) -> None:
    """The splits with what each costs and buys, then time and memory."""
    for name, reason in cost.failures.items():
        stdout.print(f"  [yellow]![/] {escape(name)}: {escape(reason)}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("split", no_wrap=True)
    for heading in ("examples", "tokens scored", "generated", "time", "accuracy", "nll / token"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in cost.splits:
        table.add_row(
            escape(one.split),
            str(one.examples),
            f"{one.scored_tokens:,}",
            f"{one.generated_tokens:,}",
            spoken(one.seconds),
            "" if one.accuracy_half_width is None else f"{one.accuracy:.2f} ± {one.accuracy_half_width:.3f}",
            "" if one.nll_half_width is None else f"± {one.nll_half_width:.3f}",
        )
    stdout.print(table)
    if cost.shown is not None:
        ends = " or ".join(map(repr, cost.shown.ends)) or "no token of the tokenizer's"
        stdout.print(
            f"\nAs the model reads it, for example\n  prompt    {escape(repr(cost.shown.prompt))}\n"
            f"  solution  {escape(repr(cost.shown.solution))}\nA completion ends at {escape(ends)}.",
            soft_wrap=True,
            highlight=False,
        )
    memory = f"{cost.memory_bytes / 2**30:.1f} GiB at the peak" if cost.memory_bytes else "memory not known"
    stdout.print(
        f"\n{cost.units} units of work at {len(cost.checkpoints)} checkpoints; {cost.standing} stand already.\n"
        f"About [bold]{spoken(cost.seconds)}[/] on {cost.device} in {cost.dtype}, {spoken(cost.most_seconds)} if every "
        f"completion ran to its limit; {memory}. Probes and the report come after it.",
        soft_wrap=True,
    )
    stdout.print(
        f"[dim]By a warm-up of {spoken(cost.warm_up_seconds)} on one checkpoint. ± is half of the 95% interval of one "
        "checkpoint's number; a difference of two on the same examples is known better. Nothing was written.[/]",
        soft_wrap=True,
    )
