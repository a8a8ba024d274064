"""The command: `overmem <verb> <run> [options]`. Words go to stderr, results (and --json) to stdout.

Exit codes: 0 done; 1 done, but a checkpoint could not be observed or a --fail-on condition is met; 2 refused.
"""

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

from overmem.errors import BadRequest, OvermemError

Arguments: TypeAlias = list[str]
_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Verb:
    """One verb of the command."""

    usage: str
    does: str
    module: str
    """Where its `run(arguments) -> exit code` is; imported when the verb is called, so that --help is quick."""


VERBS = {
    "demo": Verb("", "see over-memorization happen, measured, judged, repaired and drawn, in minutes", "demo"),
    "train": Verb("RECIPE.yaml", "fine-tune by a recipe, leaving checkpoints", "train"),
    "audit": Verb("RUN", "measure every checkpoint of a run, judge it and draw the report", "audit"),
    "diagnose": Verb("RUN", "judge an audited run again: regimes, onset, severity, what to ship", "diagnose"),
    "merge": Verb("RUN", "make one checkpoint out of several", "merge"),
    "report": Verb("RUN", "draw the verdict as one HTML page", "report"),
    "compare": Verb("RUN_A RUN_B", "two runs at matched accuracy and different perplexity", "compare"),
}


_AFTER = {
    errno.ENOSPC: "; what was written stands: make room, and the same command goes on from there",
    errno.EACCES: "; where a run must not be written to, give --out",
    errno.EROFS: "; where a run must not be written to, give --out",
}
"""What to do about an error of the system."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and exit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        _help()
        sys.exit(0 if arguments else 2)
    if arguments[0] in ("-V", "--version"):
        from overmem import __version__

        print(f"overmem {__version__}")
        sys.exit(0)
    sys.path.append("")  # so that "module:function" is found in the folder where the command is run
    verb = VERBS.get(arguments[0])
    try:
        if verb is None:
            raise BadRequest(f"unknown verb {arguments[0]!r}; allowed: {', '.join(VERBS)}")
        run: Callable[[Arguments], int] = import_module(f"overmem.cli.{verb.module}").run
        sys.exit(run(arguments[1:]))
    except OvermemError as error:
        print(f"overmem: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("overmem: stopped; what was written stands, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        print(
            f"overmem: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            end="",
            file=sys.stderr,
        )
        print(_AFTER.get(error.errno or 0, ""), file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:  # torch's own is one
        if "out of memory" not in str(error):
            raise
        print(f"overmem: {error}; ask for less at a time: a smaller --token-budget, or batch_size", file=sys.stderr)
        sys.exit(2)


def _help() -> None:
    width = max(len(f"{name} {verb.usage}") for name, verb in VERBS.items())
    print("usage: overmem <verb> ...\n")
    print("Which checkpoint to ship when validation loss went up and accuracy stayed up, and what it cost.\n")
    for name, verb in VERBS.items():
        print(f"  {f'{name} {verb.usage}':{width}}  {verb.does}")
    print("\n`overmem <verb> --help` lists a verb's options. Begin with `overmem demo`.")


def positional(arguments: Arguments, *names: str) -> Arguments:
    """`RUN --key value` as `--run RUN --key value`: a verb's leading operands may go without their names."""
    found: Arguments = []
    rest = list(arguments)
    for name in names:
        if rest and not rest[0].startswith("-"):
            found += [f"--{name}", rest.pop(0)]
    return found + rest


def parsed(kind: type[_Config], arguments: Arguments, verb: str, *operands: str, default: Any = None) -> _Config:
    """The verb's config from its arguments; exits with 2 and a clear message where they do not fit."""
    import tyro

    cli: Any = tyro.cli
    does = VERBS[verb].does
    more = {} if default is None else {"default": default}
    found: _Config = cli(
        kind,
        args=positional(arguments, *operands),
        prog=f"overmem {verb}",
        description=f"{does[0].upper()}{does[1:]}.\n\novermem {verb} {VERBS[verb].usage} [options]",
        **more,
    )
    return found
