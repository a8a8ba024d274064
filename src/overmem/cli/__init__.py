"""The command: `overmem <verb> <run> [options]`. Messages go to stderr, results (and --json) to stdout.

Exit codes: 0 success; 1 a checkpoint could not be observed, or a --fail-on condition is met; 2 an error.
"""

import difflib
import errno
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, TypeAlias, TypeVar, cast

from overmem.cli.verbs import VERBS
from overmem.errors import BadRequest, OvermemError, naming_the_extra, one_line

Arguments: TypeAlias = list[str]
_Config = TypeVar("_Config")


_ERROR_HINTS = {
    errno.ENOSPC: "; finished work is kept: free some space and run the same command again",
    errno.EDQUOT: "; finished work is kept: free some space and run the same command again",
    errno.EFBIG: "; finished work is kept: allow longer files (ulimit -f) and run the same command again",
    errno.EACCES: "; for a run in a read-only folder, use --out",
    errno.EROFS: "; for a run in a read-only folder, use --out",
}
"""Error number -> what to do about it."""
_WRITE_FAILED = (
    "a file could not be written, so the disk may be full: finished work is kept, run the same command again"
)
_LIBRARY_ERRORS = {
    r"out of memory": "use a smaller --token-budget, or batch_size",
    r"os error (27|28|30|122)\b": _WRITE_FAILED,  # safetensors and polars: EFBIG, ENOSPC, EROFS, EDQUOT
    r"inline_container\.cc.*unexpected pos|PytorchStreamWriter failed": _WRITE_FAILED,
}
"""What an error of a library contains -> what to do about it. torch writes with an error of its own kind."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and exit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an encoding without the arrow is no reason to end
    sys.path.append("")  # so that "module:function" is found in the folder where the command is run
    try:
        sys.exit(_run(arguments))
    except OvermemError as error:
        _print_error(one_line(error))
        sys.exit(2)
    except KeyboardInterrupt:
        _print_error("stopped; finished work is kept, and the same command continues from there")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        text = one_line(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        _print_error(text + _ERROR_HINTS.get(error.errno or 0, ""))
        sys.exit(2)
    except Exception as error:  # libraries raise errors of their own for what the system refuses
        hint = next((hint for words, hint in _LIBRARY_ERRORS.items() if re.search(words, str(error))), None)
        if hint is None:
            raise
        _print_error(f"{one_line(error)}; {hint}")
        sys.exit(2)


def _print_error(text: str) -> None:
    """Print an error on stderr: one line, which a terminal shows wrapped between words."""
    line = f"overmem: {text}"
    if sys.stderr.isatty():
        columns = max(20, shutil.get_terminal_size((80, 24)).columns)
        line = textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False)
    print(line, file=sys.stderr)


def _run(arguments: Arguments) -> int:
    first, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if first == "help" and rest:
        first, rest = rest[0], ["--help"]
    if first in ("", "-h", "--help", "help"):
        _help()
        return 0 if first else 2
    if first in ("-V", "--version"):
        from overmem import __version__

        print(f"overmem {__version__}")
        return 0
    if first == "completion":
        from overmem.cli.completion import run as complete

        return complete(rest)
    if first not in VERBS:
        raise BadRequest(f"unknown verb {first!r}{_suggestion(first)}; allowed: {', '.join(VERBS)}")
    with naming_the_extra():
        run: Callable[[Arguments], int] = import_module(f"overmem.cli.{VERBS[first].module}").run
        return run(_apply_verbosity(rest))


def _help() -> None:
    usages = {name: " ".join((name, *verb.operands)) for name, verb in VERBS.items()}
    width = max(map(len, usages.values()))
    columns = max(40, min(100, shutil.get_terminal_size((80, 24)).columns))
    print("usage: overmem <verb> ...\n")
    print(textwrap.fill("Which checkpoint to ship when validation loss went up and accuracy stayed up.", columns))
    print()
    for name, verb in VERBS.items():
        print(textwrap.fill(f"  {usages[name]:{width}}  {verb.summary}", columns, subsequent_indent=" " * (width + 4)))
    print()
    for line in (
        "`overmem help <verb>` lists a verb's options. Every verb takes -q (results only) and -v (also the warnings of "
        "libraries). `overmem completion bash` (or zsh, fish) prints the shell completion.",
        "Start with `overmem demo`.",
    ):
        print(textwrap.fill(line, columns))


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, VERBS, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _apply_verbosity(arguments: Arguments) -> Arguments:
    """Apply -q and -v, which every verb takes, and return the other arguments."""
    from overmem.cli import screen

    screen.verbosity.quiet = bool({"-q", "--quiet"} & set(arguments))
    screen.verbosity.verbose = bool({"-v", "--verbose"} & set(arguments))
    return [a for a in arguments if a not in ("-q", "--quiet", "-v", "--verbose")]


def command_of(kind: type[_Config], verb: str, texts: Mapping[str, str]) -> type[_Config]:
    """The verb's options, with its operands as positional arguments named as in the usage line.

    Args:
        kind: the options.
        verb: the verb.
        texts: field -> description; empty if no help is printed.
    """
    import tyro

    paths = tuple[str, ...]
    positional: list[tuple[str, Any]] = []
    for name in filter(str.isupper, VERBS[verb].operands):
        operand = name.removesuffix("...")
        if operand != name:
            option, shown = f"{operand.lower()}s", f"{operand} [{operand} ...]"
            about = tyro.conf.arg(metavar=shown, help=texts.get(option), help_behavior_hint="")
            positional.append((option, Annotated[paths, tyro.conf.Positional, about]))
        else:
            option = name.lower().replace("-", "_")
            about = tyro.conf.arg(metavar=name, help=texts.get(option), help_behavior_hint="")
            positional.append((option, Annotated[str, about]))
    return make_dataclass(kind.__name__, positional, bases=(kind,), frozen=True) if positional else kind


def parse_options(kind: type[_Config], arguments: Arguments, verb: str, *, default: Any = None) -> _Config:
    """Parse the verb's options; exits with 2 and a message if they are not valid."""
    import tyro

    texts: Mapping[str, str] = {}
    if {"-h", "--help"} & set(arguments):  # only for --help, because reading the tables takes a while
        from overmem.cli.choices import convert, descriptions, with_hints

        texts, kind = descriptions(kind), with_hints(kind)
        tyro.extras.set_accent_color("magenta")  # its white is not readable on white
        default = default if default is None else convert(kind, default)
    cli: Any = tyro.cli
    description = VERBS[verb]
    return cast(
        "_Config",
        cli(
            command_of(kind, verb, texts),
            args=arguments,
            prog=" ".join(["overmem", verb, *(o for o in description.operands if not o.isupper())]),
            description=f"{description.summary[0].upper()}{description.summary[1:]}.\n\nExamples:\n"
            + "\n".join(f"  {example}" for example in description.examples),
            config=(tyro.conf.PositionalRequiredArgs,) if default is None else (),
            **({} if default is None else {"default": default}),
        ),
    )
