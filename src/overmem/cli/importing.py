"""`overmem import HARNESS LOG...`: other harnesses' logs into a run."""

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import say
from overmem.evaluations.options import ImportLogs

COMMAND = ImportLogs
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Import the logs, then print counts and the next commands."""
    config = parse_options(ImportLogs, arguments, "import")
    from overmem.evaluations.verb import import_logs

    done = import_logs(config, say=say)
    say(
        f"{done.examples} questions at {len(done.checkpoints)} checkpoints: {done.completions} completions, "
        f"{done.scored} solutions with a likelihood"
    )
    out = f" --out {config.out}" if config.out else ""
    if not done.scored and done.solutions:
        say(f"no likelihoods in the logs: `overmem audit {config.run}{out}` scores the solutions")
    elif not done.scored:
        say("no likelihoods and no solutions in the logs: perplexity cannot be measured on these questions")
    say(f"next: overmem diagnose {config.run}{out}; overmem report {config.run}{out}")
    return 0
