"""What every benchmark does with its figures: print them, and write them to a file."""

import json
import sys
from pathlib import Path


def write_figures(figures: object, out: Path | None) -> None:
    """Print figures as JSON, and write the same to `out` if there is one."""
    text = json.dumps(figures, indent=1) + "\n"
    sys.stdout.write(text)
    if out is not None:
        out.write_text(text)
