"""trackio: curves, the verdict as a Markdown panel, and a table of examples."""

import sys
from contextlib import redirect_stdout

from overmem.tracking.record import TrackedVerdict


def trackio(verdict: TrackedVerdict) -> str:
    """Log to the active run, or to a new one of the project `overmem`; returns project and run."""
    import trackio
    from trackio import context_vars

    active = context_vars.current_run.get()
    with redirect_stdout(sys.stderr):  # what it prints is not the output of a command
        run = active or trackio.init(
            project="overmem", name=verdict.name, embed=False, auto_log_cpu=False, auto_log_gpu=False
        )
        for step, values in verdict.curves.items():
            run.log(dict(values), step=step)
        shown: dict[str, object] = {"overmem/verdict": trackio.Markdown(verdict.text), **verdict.summary}
        if verdict.examples:
            rows = [list(row) for row in verdict.examples]
            shown["overmem/examples"] = trackio.Table(columns=list(verdict.columns), data=rows)
        run.log(shown, step=verdict.step)
        if active is None:
            run.finish()  # type: ignore[no-untyped-call]
            context_vars.current_run.set(None)
    return f"project {run.project}, run {run.name}"
