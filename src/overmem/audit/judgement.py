"""Measurements, verdict and report after workers have observed a run."""

from collections.abc import Callable

from overmem import store
from overmem.audit.finish import MAX_WAIT, finish
from overmem.diagnose import Diagnose, diagnose
from overmem.probes import PROBES
from overmem.records import Verdict
from overmem.report import Report, report


def measure_and_judge(
    run: store.Run,
    root: str,
    out: str | None,
    *,
    run_code: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Verdict:
    """The verdict on a run after all its units are done; measurements, verdict and report are written.

    Probes and graders "module:function" are not called, because the user did not pass them to the worker. Audit the run
    again to add their results.

    Args:
        run: the run.
        root: the run directory, as on the command line.
        out: the folder of overmem's files, if it is not in the run directory.
        run_code: whether programs in completions may be run, in a sandbox.
        say: called with a line on each thing that happens.
    """
    finish(run, PROBES, run_code=run_code, say=say)
    with store.locked(run, wait=MAX_WAIT):
        verdict = diagnose(Diagnose(root, out=out, save=True))
        page = report(Report(root, out=out))
    say(f"verdict: {verdict.headline}")
    say(f"report: {page}")
    return verdict
