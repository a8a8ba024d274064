"""`overmem card RUN`: the verdict as part of a Hugging Face model card."""

import sys
from dataclasses import dataclass
from pathlib import Path

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import say


@dataclass(frozen=True)
class Card:
    """Write the verdict's part of a model card: metadata for the hub, and text."""

    run: str
    """Run directory that was diagnosed."""
    output: str | None = None
    """File to write; by default the card is printed. An existing file is not changed: paste the card into it."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""


COMMAND = Card
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Print or write the card."""
    config = parse_options(Card, arguments, "card")
    from overmem import store
    from overmem.errors import BadRequest
    from overmem.report.card import card
    from overmem.report.findings import read_findings

    text = card(read_findings(store.open_run(config.run, config.out)))
    if config.output is None:
        sys.stdout.write(text)
        return 0
    if Path(config.output).exists():
        raise BadRequest(
            f"--output {config.output} exists already; name a new file, and paste its text into the existing card"
        )
    store.write_text(Path(config.output), text)
    say(f"written: {config.output}")
    return 0
