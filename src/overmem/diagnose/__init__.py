"""Judge a run: which regime, since when, how bad, at what cost, and which checkpoint to ship."""

from overmem.diagnose.options import Diagnose
from overmem.diagnose.pipeline import FAIL_ON, check_conditions, exit_code
from overmem.diagnose.pruning import prune
from overmem.diagnose.verb import diagnose
from overmem.wording.markdown import markdown

__all__ = ["FAIL_ON", "Diagnose", "check_conditions", "diagnose", "exit_code", "markdown", "prune"]
