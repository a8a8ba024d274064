"""`overmem merge RUN`."""

from dataclasses import dataclass

from rich.markup import escape

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, print_json, print_text, quiet_libraries, say, stdout
from overmem.errors import BadRequest
from overmem.merging.options import Merge


@dataclass(frozen=True)
class MergeCommand(Merge):
    """What to merge, and how, or what to search; and the output format."""

    json: bool = False
    """With --search: print the result as JSON."""


COMMAND = MergeCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Merge and print the folder of the result, or search and print what was found."""
    config = parse_options(MergeCommand, arguments, "merge")
    if config.search:
        return _search(config)
    if config.json:
        raise BadRequest("--json needs --search")
    from overmem.merging.verb import merge  # torch loads after the options have been checked
    from overmem.models.discovery import MERGE_NOTE
    from overmem.models.files import json_object

    quiet_libraries()
    with bar() as progress:
        folder = merge(config, progress=progress)
    if config.rank is not None:
        error = json_object(folder / MERGE_NOTE).get("error_of_rank", 0.0)
        say(f"rank {config.rank} leaves out {100 * error:.2g}% of the size of the weight update")
    say(f"written: {folder}; next: overmem audit {config.run}")
    return 0


def _search(config: MergeCommand) -> int:
    from overmem.search.verb import search  # torch loads after the options have been checked

    quiet_libraries()
    with bar() as progress:
        result = search(config, say=say, progress=progress)
    if config.json:
        print_json(result)
        return 0
    for line in result.reasons:
        print_text(stdout, escape(line))
    if not result.is_complete:
        say("the time was up before every candidate was observed: the same command goes on")
    if result.written is not None:
        say(f"written: {result.written}; next: overmem audit {config.run}")
    elif result.winner is not None:
        names, weights = " ".join(result.winner.weights), " ".join(f"{w:.6g}" for w in result.winner.weights.values())
        say(f"not written; to write it: overmem merge {config.run} --checkpoints {names} --weights {weights}")
    return 0
