"""`overmem completion SHELL`: what bash, zsh or fish needs to complete verbs, options and paths."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

from overmem.cli import VERBS, Arguments
from overmem.errors import unknown

BASH = """_overmem() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs} help completion" -- "$word")); return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
    help) COMPREPLY=($(compgen -W "{verbs}" -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _overmem overmem
"""


def run(arguments: Arguments) -> int:
    """Print the completion script of one shell."""
    shell = arguments[0] if arguments else ""
    if shell not in SCRIPTS:
        raise unknown("shell", shell, SCRIPTS, "overmem completion SHELL")
    print(SCRIPTS[shell](), end="")
    return 0


def options_of(verb: str) -> list[str]:
    """Every option of a verb, as it is typed."""
    command = import_module(f"overmem.cli.{VERBS[verb].module}").COMMAND
    operands = {name.lower() for name in VERBS[verb].operands}
    return sorted({*(f"--{name}" for name in _names(command) if name not in operands), "--quiet", "--verbose"})


def _names(kind: Any, prefix: str = "") -> Iterator[str]:
    types = get_type_hints(kind)
    for field in fields(kind):
        name = prefix + field.name.replace("_", "-")
        if is_dataclass(types[field.name]):
            yield from _names(types[field.name], f"{name}.")
        else:
            yield name


def bash() -> str:
    """The script for bash: eval "$(overmem completion bash)"."""
    cases = "\n".join(f'    {verb}) options="{" ".join(options_of(verb))}" ;;' for verb in VERBS)
    return BASH.format(verbs=" ".join(VERBS), cases=cases)


def zsh() -> str:
    """The script for zsh, by its emulation of bash's completion."""
    return f"autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{bash()}"


def fish() -> str:
    """The script for fish: overmem completion fish | source."""
    lines = [f"complete -c overmem -n __fish_use_subcommand -f -a {name} -d '{v.does}'" for name, v in VERBS.items()]
    lines += [
        f"complete -c overmem -n '__fish_seen_subcommand_from {verb}' -l {option.removeprefix('--')}"
        for verb in VERBS
        for option in options_of(verb)
    ]
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
