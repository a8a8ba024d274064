"""The verb `watch`: judge every checkpoint of a run while another process trains it.

Measurements, verdict and report are written again after every checkpoint. The training is not touched: each checkpoint
is hard-linked when it is complete, so it can be audited even if the trainer keeps only the last few.
"""

import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import psutil

from overmem import store
from overmem.audit.finish import MAX_WAIT
from overmem.audit.held import HeldCheckpoints
from overmem.audit.options import Audit
from overmem.audit.request import seconds_of
from overmem.audit.verb import Audited, audit
from overmem.audit.watch_options import Watch
from overmem.diagnose import Diagnose, diagnose
from overmem.errors import BadRequest
from overmem.models.complete import state_of
from overmem.records import Verdict
from overmem.report import Report, report


def watch(
    config: Watch,
    *,
    say: Callable[[str], None] = lambda line: None,
    judged: Callable[[Verdict], None] = lambda verdict: None,
    sleep: Callable[[float], None] = time.sleep,
    **hooks: Any,
) -> Audited:
    """Judge checkpoints as they are written, until the training ends; returns the last audit.

    Args:
        config: what to audit, and when to end.
        say: called with a line on each thing that happens.
        judged: called with every new verdict.
        sleep: waits this many seconds; for tests.
        hooks: `progress` and `show` of `audit`.

    Raises:
        BadRequest: as `audit`; or there was no checkpoint before the training ended or `--idle` had passed.
    """
    run = store.open_run(config.run, config.out)
    idle, last = seconds_of(config.idle), time.monotonic()
    options = {field.name: getattr(config, field.name) for field in fields(Audit)}
    done: Audited | None = None
    with HeldCheckpoints(run, config.every) as held:
        say(f"waiting for checkpoints in {run.root}")
        while True:
            is_over = has_ended(run, config.pid) or time.monotonic() - last > idle
            if is_over:
                held.update()  # one may have been written just before the end
            if names := held.names():
                last = time.monotonic()
                say(f"{', '.join(names)}: complete")
                done = audit(
                    Audit(**options | {"run": str(held.folder), "out": str(run.home)}),
                    say=say,
                    beside_training=True,
                    **hooks,
                )
                held.remove(names)
                done = replace(done, run=run)
                with store.locked(run, wait=MAX_WAIT, beside_training=True):
                    verdict = diagnose(Diagnose(config.run, out=config.out, save=True))
                    report(Report(config.run, out=config.out))
                judged(verdict)
            elif is_over:
                break
            else:
                sleep(config.every)
    if done is None:
        raise BadRequest(f"no checkpoint was written in {run.root} before the training ended; allowed: --idle, --pid")
    return done


def has_ended(run: store.Run, pid: int | None) -> bool:
    """Whether the training has ended: by its process if a pid is given, else by the trainer's state.

    By the state it has ended if the newest checkpoint is that of the last step, or if the state in the run's folder,
    which is written at the end, is not older than any checkpoint's.
    """
    if pid is not None:
        return not psutil.pid_exists(pid)
    states = [state for path in run.root.glob("checkpoint-*") if (state := state_of(path)) is not None]
    final = state_of(run.root)
    newest = max(states, default=None)
    if newest is None:
        return False
    return newest[0] >= newest[1] or (final is not None and final[0] >= newest[0])
