"""`overmem compare RUN_A RUN_B`."""

from dataclasses import dataclass, fields

from rich.markup import escape

from overmem.cli import Arguments, parsed
from overmem.cli.screen import print_json, stdout
from overmem.compare.options import Compare


@dataclass(frozen=True)
class CompareCommand(Compare):
    """Which two runs to compare, when two accuracies count as equal, and how to say it."""

    json: bool = False
    """Print the matched pairs as JSON."""


COMMAND = CompareCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Compare and print the matched pairs."""
    config = parsed(CompareCommand, arguments, "compare")
    from overmem.compare import compare  # polars and scipy load when the options are known to be right

    result = compare(Compare(**{f.name: getattr(config, f.name) for f in fields(Compare)}))
    if config.json:
        print_json(result)
    else:
        for sentence in result.sentences:
            stdout.print(escape(sentence), soft_wrap=True)
    return 0
