"""The options of `overmem worker`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Worker:
    """Whose queue to work on, and with what."""

    run: str
    """Run directory that `overmem audit` has planned; several workers may share it, on one machine or on many that see
    the same folder. Or a sweep file, SWEEP.yaml: then whole runs are done."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    engine: str | None = None
    """The engine of the plan, where it is a "module:Class" of your own: a worker imports no code that only a file
    names."""
    run_code: bool = False
    """Run the programs in completions of `kind: code`, in a sandbox; without it they are graded by the audit."""
    finish: bool = False
    """When all units are done, measure, judge and write the report, unless another worker does."""
    parent_pid: int | None = None
    """End when this process has ended: what started the worker on this machine."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""
