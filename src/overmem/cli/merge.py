"""`overmem merge RUN`."""

from overmem.cli import Arguments, parsed
from overmem.cli.screen import bar, say
from overmem.merging.options import Merge
from overmem.merging.verb import merge


def run(arguments: Arguments) -> int:
    """Merge and say where the result lies."""
    config = parsed(Merge, arguments, "merge", "run")
    with bar() as progress:
        folder = merge(config, progress=progress)
    say(f"written: {folder}; next: overmem audit {config.run}")
    return 0
