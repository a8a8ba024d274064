"""Puts this folder on the path, for `architectures`, `formulas` and `two_processes`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
