"""Measurements, verdict and report of what a run's workers have observed."""

from collections.abc import Callable

from overmem import store
from overmem.audit.finish import LONGEST_WAIT, finish
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

    Probes and graders "module:function" are not called: a worker was not given them by the user. An audit of the run
    adds them.

    Args:
        run: the run.
        root: the run directory as the user gave it.
        out: where overmem's files are, if not in the run directory.
        run_code: whether programs in completions may be run, in a sandbox.
        say: called with a line on what happens.
    """
    finish(run, PROBES, run_code=run_code, say=say)
    with store.locked(run, wait=LONGEST_WAIT):
        verdict = diagnose(Diagnose(root, out=out, save=True))
        page = report(Report(root, out=out))
    say(f"verdict: {verdict.headline}")
    say(f"report: {page}")
    return verdict
