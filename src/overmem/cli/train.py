"""`overmem train RECIPE.yaml`."""

import os

from overmem.cli import Arguments, parsed
from overmem.cli.screen import bar, quiet_libraries, say
from overmem.tasks import Data
from overmem.training.recipe import Recipe, read_recipe


def run(arguments: Arguments) -> int:
    """Train by the recipe, any key of it overridden on the command line."""
    default = Recipe(output="")
    rest = arguments
    if arguments and not arguments[0].startswith("-"):
        default, rest = read_recipe(arguments[0]), arguments[1:]
    elif "--output" not in arguments and not {"-h", "--help"} & set(arguments):
        default = Recipe(output="runs/pebble", data=Data())
    recipe = parsed(Recipe, rest, "train", default=default)
    from overmem.training.verb import train

    quiet_libraries()
    if os.environ.get("RANK", "0") != "0":  # of several processes, as a launcher numbers them, the first one is seen
        train(recipe)
        return 0
    with bar() as progress:
        finished = train(recipe, say=say, progress=progress)
    say(f"done; next: overmem audit {finished.root}")
    return 0
