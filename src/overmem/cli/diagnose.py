"""`overmem diagnose RUN`."""

from dataclasses import dataclass, fields

from overmem import store
from overmem.cli import Arguments, parsed
from overmem.cli.screen import print_json, show_verdict, stdout
from overmem.diagnose import Diagnose, check_conditions, diagnose, exit_code, prune
from overmem.regime.markdown import markdown


@dataclass(frozen=True)
class DiagnoseCommand(Diagnose):
    """Which run to judge, where the limits lie, and how to say it."""

    json: bool = False
    """Print the verdict as JSON."""
    markdown: bool = False
    """Print the verdict as Markdown, for a pull request."""
    prune: bool = False
    """List the checkpoints that may go: never the recommended one, its neighbours or the last."""
    yes: bool = False
    """With --prune: delete them."""
    fail_on: tuple[str, ...] = ()
    """Exit with 1 where the verdict is one of these: never, confirmed, over-memorized, over-fitted, unhealthy."""


def run(arguments: Arguments) -> int:
    """Judge, keep the verdict, show it; 1 where a --fail-on condition is met."""
    config = parsed(DiagnoseCommand, arguments, "diagnose", "run")
    check_conditions(config.fail_on)
    verdict = diagnose(Diagnose(**{f.name: getattr(config, f.name) for f in fields(Diagnose)}))
    where = store.open_run(config.run, config.out)
    store.write_verdict(where, verdict)
    if config.prune:
        for name in prune(where, verdict, yes=config.yes):
            stdout.print(f"{'deleted' if config.yes else 'may go'}: {where.root / name}", markup=False, soft_wrap=True)
    elif config.json:
        print_json(verdict)
    elif config.markdown:
        stdout.print(markdown(verdict), markup=False, soft_wrap=True)
    else:
        show_verdict(where, verdict)
    return exit_code(verdict, config.fail_on)
