"""Print the estimate of an audit: a table, then time and memory."""

from rich.markup import escape

from overmem.audit import AuditEstimate
from overmem.cli.screen import fits, print_table, print_text, stdout
from overmem.observe.throughput import format_duration

HEADINGS = ("split", "examples", "tokens scored", "generated", "time", "accuracy", "nll / token")


def show_cost(cost: AuditEstimate) -> None:
    """Print the cost and precision of each split, then time and memory."""
    for name, reason in cost.failures.items():
        print_text(stdout, f"[yellow]![/] {escape(name)}: {escape(reason)}", "  ")
    _print_splits(cost)
    if cost.shown is not None:
        ends = " or ".join(map(repr, cost.shown.ends)) or "no token of the tokenizer"
        print_text(stdout, "\nAs the model reads it, for example")
        print_text(stdout, f"prompt    {escape(repr(cost.shown.prompt))}", "  ")
        print_text(stdout, f"solution  {escape(repr(cost.shown.solution))}", "  ")
        print_text(stdout, f"A completion ends at {escape(ends)}.")
    memory = f"{cost.memory_bytes / 2**30:.1f} GiB at the peak" if cost.memory_bytes else "memory unknown"
    print_text(
        stdout,
        f"\n{cost.units} units of work at {len(cost.checkpoints)} checkpoints; {cost.already_done} are done already.",
    )
    print_text(
        stdout,
        f"About [bold]{format_duration(cost.seconds)}[/] on {cost.device} in {cost.dtype}, "
        f"{format_duration(cost.most_seconds)} if every completion runs to its limit; {memory}. "
        "Probes and the report take extra time.",
    )
    print_text(
        stdout,
        f"[dim]Estimated by a warm-up of {format_duration(cost.warm_up_seconds)} on one checkpoint. ± is half the 95% "
        "interval at one checkpoint; the difference of two on the same examples is more exact. Nothing was written.[/]",
    )


def _print_splits(cost: AuditEstimate) -> None:
    rows = [
        (
            escape(split.split),
            f"{split.examples:,}",
            f"{split.scored_tokens:,}",
            f"{split.generated_tokens:,}",
            format_duration(split.seconds),
            "" if split.accuracy_half_width is None else f"{split.accuracy:.2f} ± {split.accuracy_half_width:.3f}",
            "" if split.nll_half_width is None else f"± {split.nll_half_width:.3f}",
        )
        for split in cost.splits
    ]
    if fits(stdout, HEADINGS, rows):
        return print_table(stdout, [(heading, heading != "split") for heading in HEADINGS], rows)
    for name, examples, scored, generated, time, accuracy, nll in rows:
        print_text(stdout, f"{name}: {examples} examples, {scored} tokens scored, {generated} generated, {time}")
        precision = [f"accuracy {accuracy}"] * bool(accuracy) + [f"nll per token {nll}"] * bool(nll)
        if precision:
            print_text(stdout, ", ".join(precision), "  ")
    return None
