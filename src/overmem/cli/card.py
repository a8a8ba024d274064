"""`overmem card RUN`: the verdict as part of a Hugging Face model card."""

import sys
from dataclasses import dataclass
from pathlib import Path

from overmem.cli import Arguments, parsed
from overmem.cli.screen import say


@dataclass(frozen=True)
class Card:
    """Write the part of a model card that the verdict fills in: metadata for the hub, and text."""

    run: str
    """Run directory that was diagnosed."""
    output: str | None = None
    """File to write; by default the card is printed. An existing README.md is not merged with: paste it there."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""


COMMAND = Card
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Print or write the card."""
    config = parsed(Card, arguments, "card")
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
            f"--output {config.output} exists already; give a new file, and paste it into the card by hand"
        )
    store.write_text(Path(config.output), text)
    say(f"written: {config.output}")
    return 0
