"""The options of `overmem worker`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Worker:
    """Which queue to work on, and how."""

    run: str
    """Run directory that `overmem audit` has planned; several workers may share it, on one machine or on many with a
    shared folder. Or a sweep file, SWEEP.yaml: then this worker does whole runs."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU if there is one."""
    engine: str | None = None
    """Required if the plan's engine is a "module:Class" of your own: a worker does not import code just because a file
    names it."""
    run_code: bool = False
    """Run the programs in completions of `kind: code`, in a sandbox; otherwise the audit grades them."""
    finish: bool = False
    """When all units are done, measure, judge and write the report, unless another worker does."""
    parent_pid: int | None = None
    """End when this process, which started the worker, has ended."""
    waits: bool = False
    """Load the libraries, then wait for a line on standard input: the file that messages are appended to."""
    out: str | None = None
    """Where overmem's files are; by default RUN/overmem."""
