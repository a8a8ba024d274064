"""`overmem diagnose RUN`."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

from overmem.cli import Arguments, parse_options
from overmem.cli.screen import print_json, say, stdout
from overmem.cli.verdict_screen import show_verdict
from overmem.diagnose.options import Diagnose
from overmem.errors import BadRequest
from overmem.tables import NamedIn

if TYPE_CHECKING:
    from overmem import store
    from overmem.records import Verdict


@dataclass(frozen=True)
class DiagnoseCommand(Diagnose):
    """Which run to judge, within which limits, and the output format."""

    save: bool = False
    """Write verdict.json into a folder of logs too, which is otherwise only read."""
    track: Annotated[tuple[str, ...], NamedIn("overmem.tracking:TRACKERS")] = ()
    """Trackers that get the verdict, the curves and the examples that changed."""
    why: bool = False
    """Print every sentence and warning, and what the other selection rules would have cost."""
    json: bool = False
    """Print the verdict as JSON."""
    markdown: bool = False
    """Print the verdict as Markdown, for a pull request."""
    prune: bool = False
    """List the checkpoints that can be deleted: never the recommended one, its neighbours or the last."""
    yes: bool = False
    """With --prune: delete them."""
    fail_on: tuple[str, ...] = ()
    """Exit with 1 if the verdict is one of these: never, confirmed, over-memorized, over-fitted, unhealthy,
    undecided. `confirmed` is over-memorized with a confirmed cost; `unhealthy` is over-memorized or over-fitted."""


COMMAND = DiagnoseCommand
"""The verb's options, for the shell completion."""


def run(arguments: Arguments) -> int:
    """Judge the run and print the verdict. Returns 1 if a --fail-on condition is met or a tracker failed."""
    config = parse_options(DiagnoseCommand, arguments, "diagnose")
    from overmem import store  # polars and scipy load after the options have been checked
    from overmem.diagnose import diagnose, exit_code, markdown
    from overmem.tracking import check_trackers, track, tracked_run

    _check(config)
    check_trackers(config.track)
    options = {f.name: getattr(config, f.name) for f in fields(Diagnose)}
    verdict = diagnose(Diagnose(**{**options, "save": config.save or None}))
    target = store.open_run(config.run, config.out)
    if config.prune:
        _prune(target, verdict, config.yes)
    elif config.json:
        print_json(verdict)
    elif config.markdown:
        stdout.print(markdown(verdict), markup=False, soft_wrap=True)
    else:
        show_verdict(target, verdict, why=config.why)
    failed = track(tracked_run(target, verdict), config.track, say) if config.track else ()
    return exit_code(verdict, config.fail_on) or int(bool(failed))


def _check(config: DiagnoseCommand) -> None:
    from overmem.diagnose import check_conditions

    check_conditions(config.fail_on)
    outputs = [name for name in ("json", "markdown", "prune") if getattr(config, name)]
    if len(outputs) > 1:
        raise BadRequest(f"{' and '.join(f'--{a}' for a in outputs)} cannot be combined; allowed: one of them")
    if config.yes and not config.prune:
        raise BadRequest("--yes needs --prune")


def _prune(target: "store.Run", verdict: "Verdict", yes: bool) -> None:
    from overmem.diagnose import prune

    names = prune(target, verdict, yes=yes)
    for name in names:
        stdout.print(f"{'deleted' if yes else 'can be deleted'}: {target.root / name}", markup=False, soft_wrap=True)
    if not names:
        stdout.print(f"nothing can be deleted: {_reason_for_none(verdict)}", markup=False, soft_wrap=True)


def _reason_for_none(verdict: "Verdict") -> str:
    if verdict.evidence != "observations":
        return f"the evidence is {verdict.evidence}, which is not enough to delete checkpoints"
    if verdict.recommended is None:
        return "no checkpoint is recommended"
    return f"only {verdict.recommended.checkpoint}, its neighbours and the last are on disk"
