"""Leases: which worker is doing a unit of work, as a file next to the unit, on any shared filesystem.

A lease is a file that is created exclusively and touched at every heartbeat. Clocks need not be synchronized: a lease
is abandoned when a worker has seen no heartbeat for long enough by its own monotonic clock, or at once if its process
has ended on this machine. Units of work are deterministic and written atomically, so in the rare case that two workers
do the same unit, only time is lost.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from overmem.json_text import parse_json
from overmem.store.files import temporary_path

BEAT = 5.0
"""Seconds between two heartbeats."""
MISSED_BEATS = 6
"""Missed heartbeats after which a lease is abandoned."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lease."""

    host: str
    process: int
    started: float
    """When the process started, to distinguish it from a later one with the same id."""
    token: str
    """Unique to the lease."""

    @classmethod
    def this_process(cls) -> "Holder":
        """A new holder in this process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time(), secrets.token_hex(8))

    def is_gone(self) -> bool:
        """Whether the process is known to have ended; only processes of this machine can be checked."""
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.process).create_time() - self.started) > 1.0
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False


@dataclass
class Leases:
    """The leases that one worker takes, and its record of other workers' heartbeats.

    `beat` and `clock` are for tests; all workers of a run use the same `beat`.
    """

    beat: float = BEAT
    clock: Callable[[], float] = time.monotonic
    _seen: dict[Path, tuple[str, int, float]] = field(default_factory=dict)
    """Path -> token and modification time as last seen, and when these were first seen."""

    def take(self, path: Path) -> "Lease | None":
        """The lease of this path, or None while another worker holds it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Holder.this_process()
        if _create(path, holder):
            return Lease(path, holder, self.beat)
        token = self._abandoned(path)
        if token is None or not _remove(path, token) or not _create(path, holder):
            return None
        return Lease(path, holder, self.beat)

    def is_held(self, path: Path) -> bool:
        """Whether a worker holds this lease, as far as this one can tell: it exists and is not seen to be abandoned."""
        return path.exists() and self._abandoned(path) is None

    def clear(self, path: Path) -> bool:
        """Remove a lease that is abandoned; returns whether it was."""
        token = self._abandoned(path)
        return token is not None and _remove(path, token)

    def _abandoned(self, path: Path) -> str | None:
        """The token of an abandoned lease; None if the lease is alive or there is none."""
        holder = read_holder(path)  # first: opening a file makes NFS ask the server for its time
        try:
            modified = path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        token = "" if holder is None else holder.token  # "": half written by a process that was killed
        if holder is not None and holder.is_gone():
            return token
        now = self.clock()
        if self._seen.get(path, ("", 0, 0.0))[:2] != (token, modified) or path not in self._seen:
            self._seen[path] = (token, modified, now)
        return token if now - self._seen[path][2] > MISSED_BEATS * self.beat else None


@dataclass
class Lease:
    """A lease held by this worker. As a context manager, it touches the file in a thread until the block ends."""

    path: Path
    holder: Holder
    beat: float = BEAT
    lost: bool = False
    """Whether another worker took it over because this one was suspended for too long. The work may be finished."""
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Lease":
        """Start the heartbeat."""
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.path.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the heartbeat and remove the file, unless another worker has taken it over."""
        self._ended.set()
        self._thread.join()
        self.release()

    def release(self) -> None:
        """Remove the file, unless it is another worker's by now."""
        if not self.lost:
            _remove(self.path, self.holder.token)

    def _keep(self) -> None:
        while not self._ended.wait(self.beat):
            current = read_holder(self.path)
            if current is None or current.token != self.holder.token:
                self.lost = True
                return
            with suppress(OSError):
                os.utime(self.path)


def read_holder(path: Path) -> Holder | None:
    """Who holds a lease; None if there is no such file or it cannot be read."""
    try:
        fields = parse_json(path.read_text(encoding="utf-8"))
        return Holder(
            host=str(fields["host"]),
            process=int(fields["process"]),
            started=float(fields["started"]),
            token=str(fields["token"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _create(path: Path, holder: Holder) -> bool:
    """Create the file; False if it exists. Exactly one of several processes succeeds."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(vars(holder), file)
    return True


def _remove(path: Path, token: str) -> bool:
    """Remove the lease with this token; False if another process did, or if it is another lease by now.

    The file is renamed first, which succeeds for one process only. If it is a newer lease, it is put back.
    """
    aside = temporary_path(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    holder = read_holder(aside)
    ours = (holder.token if holder else "") == token
    if not ours:
        with suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)
    return ours
