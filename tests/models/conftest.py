"""Puts tests/losses on the path, for its `architectures`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "losses"))
