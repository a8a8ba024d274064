"""`overmem merge RUN`."""

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, quiet_libraries, say
from overmem.merging.options import Merge

COMMAND = Merge
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Merge and print the folder of the result."""
    config = parse_options(Merge, arguments, "merge")
    from overmem.merging.verb import merge  # torch loads after the options have been checked

    quiet_libraries()
    with bar() as progress:
        folder = merge(config, progress=progress)
    say(f"written: {folder}; next: overmem audit {config.run}")
    return 0
