"""`overmem train RECIPE.yaml`."""

import os

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import bar, quiet_libraries, say
from overmem.errors import BadRequest
from overmem.training.recipe import Recipe, read_recipe

COMMAND = Recipe
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Train by the recipe; options override its keys."""
    asks_for_help = bool({"-h", "--help"} & set(arguments))
    if not (asks_for_help or "--output" in arguments or (arguments and not arguments[0].startswith("-"))):
        raise BadRequest(
            "overmem train needs a recipe: give RECIPE.yaml, or --output FOLDER and the keys of a recipe as options; "
            "`overmem demo` trains the embedded model"
        )
    default, rest = Recipe(output=""), arguments
    if arguments and not arguments[0].startswith("-"):
        default, rest = read_recipe(arguments[0]), arguments[1:]
    recipe = parse_options(Recipe, rest, "train", default=default)
    from overmem.training.verb import train

    quiet_libraries()
    if os.environ.get("RANK", "0") != "0":  # with several processes, only the main one prints
        train(recipe)
        return 0
    with bar() as progress:
        finished = train(recipe, say=say, progress=progress)
    say(f"done; next: overmem audit {finished.root}")
    return 0
