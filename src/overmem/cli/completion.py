"""`overmem completion SHELL`: the completion script for bash, zsh or fish."""

from importlib import import_module

from overmem.cli import Arguments
from overmem.cli.choices import named_options
from overmem.cli.verbs import VERBS
from overmem.errors import unknown

BASH = """_overmem() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{verbs} help completion --help --version" -- "$word")); return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
    help) COMPREPLY=($(compgen -W "{verbs}" -- "$word")); return ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  case "${{COMP_WORDS[1]}} $previous" in
{choices}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    local IFS=$'\\n'
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
    """Every option of a verb, with its dashes."""
    operands = {name.lower().replace("_", "-") for name in VERBS[verb].operands}
    names = (name for name, _ in named_options(_command(verb)) if name not in operands)
    return sorted({*(f"--{name}" for name in names), "--quiet", "--verbose"})


def choices_of(verb: str) -> dict[str, tuple[str, ...]]:
    """Option -> allowed names, for the options of a verb that name a method."""
    choices = {f"--{name}": source.choices() for name, source in named_options(_command(verb)) if source}
    return {option: names for option, names in choices.items() if names}


def _command(verb: str) -> type:
    command: type = import_module(f"overmem.cli.{VERBS[verb].module}").COMMAND
    return command


def bash() -> str:
    """The script for bash: eval "$(overmem completion bash)"."""
    cases = "\n".join(f'    {verb}) options="{" ".join(options_of(verb))}" ;;' for verb in VERBS)
    choices = "\n".join(
        f'    "{verb} {option}") COMPREPLY=($(compgen -W "{" ".join(names)}" -- "$word")); return ;;'
        for verb in VERBS
        for option, names in choices_of(verb).items()
    )
    return BASH.format(verbs=" ".join(VERBS), cases=cases, choices=choices)


def zsh() -> str:
    """The script for zsh, which emulates bash's completion."""
    return f"autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{bash()}"


def fish() -> str:
    """The script for fish: overmem completion fish | source."""
    summaries = {name: verb.summary.replace("'", "\\'") for name, verb in VERBS.items()}
    lines = [
        f"complete -c overmem -n __fish_use_subcommand -f -a {name} -d '{summary}'"
        for name, summary in summaries.items()
    ]
    lines += [
        "complete -c overmem -n __fish_use_subcommand -f -a 'help completion'",
        f"complete -c overmem -n '__fish_seen_subcommand_from help' -f -a '{' '.join(VERBS)}'",
        "complete -c overmem -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'",
    ]
    for verb in VERBS:
        choices = choices_of(verb)
        for option in options_of(verb):
            values = f" -x -a '{' '.join(choices[option])}'" if option in choices else ""
            lines.append(f"complete -c overmem -n '__fish_seen_subcommand_from {verb}' -l {option[2:]}{values}")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
