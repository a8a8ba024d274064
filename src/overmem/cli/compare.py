"""`overmem compare RUN_A RUN_B`."""

from dataclasses import dataclass, fields
from pathlib import Path

from rich.markup import escape

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import print_json, print_text, say, stdout
from overmem.compare.options import Compare


@dataclass(frozen=True)
class CompareCommand(Compare):
    """Which runs to compare, when two accuracies count as equal, and the output format."""

    json: bool = False
    """Print the matched pairs as JSON."""
    report: str | None = None
    """Write a page to this file: both runs' curves and tables, the pairs, and the examples on which they differ."""


COMMAND = CompareCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Compare and print the matched pairs."""
    config = parse_options(CompareCommand, arguments, "compare")
    from overmem.compare import compare  # polars and scipy load after the options have been checked

    result = compare(Compare(**{f.name: getattr(config, f.name) for f in fields(Compare)}))
    if config.report is not None:
        from overmem import store
        from overmem.report.comparison import write_comparison

        runs = (store.open_run(config.run_a, config.out_a), store.open_run(config.run_b, config.out_b))
        path = write_comparison(
            Path(config.report), runs, result.pairs, result.sentences, split=config.split, alpha=config.alpha
        )
        say(f"page: {path}")
    if config.json:
        print_json(result)
    else:
        for sentence in result.sentences:
            print_text(stdout, escape(sentence), hanging="  ")
    return 0
