import json
import os
import subprocess
import sys
import time

from overmem.store.leases import MISSED_BEATS, Holder, Lease, Leases, read_holder


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def elsewhere(path, token="other"):
    """A lease of a process on another machine."""
    path.write_text(json.dumps({"host": "elsewhere", "process": 1, "started": 0.0, "token": token}))


def test_one_of_two_workers_gets_the_lease_and_the_other_gets_it_afterwards(tmp_path):
    first, second = Leases(), Leases()
    with first.take(tmp_path / "unit"):
        assert second.take(tmp_path / "unit") is None
    assert not (tmp_path / "unit").exists()
    with second.take(tmp_path / "unit") as lease:
        assert isinstance(lease, Lease)


def test_a_lease_of_another_machine_is_abandoned_only_when_it_was_watched_not_being_touched(tmp_path):
    path, clock = tmp_path / "unit", Clock()
    elsewhere(path)
    os.utime(path, (0, 0))  # a clock that is decades behind says nothing
    leases = Leases(beat=1.0, clock=clock)
    assert leases.take(path) is None
    clock.now += MISSED_BEATS - 0.5
    assert leases.take(path) is None
    os.utime(path, (1, 1))  # a heartbeat
    clock.now += 1.0
    assert leases.take(path) is None
    clock.now += MISSED_BEATS + 0.5
    assert leases.take(path) is not None


def test_the_lease_of_a_process_that_was_killed_here_is_taken_over_at_once(tmp_path):
    path = tmp_path / "unit"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom overmem.store.leases import Leases\n"
        "Leases().take(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert Leases().take(path) is None
    process.kill()
    process.wait()
    assert Leases().take(path) is not None


def test_a_lease_written_halfway_is_abandoned_after_the_missed_beats(tmp_path):
    path, clock = tmp_path / "unit", Clock()
    path.write_text('{"host": "else')
    leases = Leases(beat=1.0, clock=clock)
    assert leases.take(path) is None
    clock.now += MISSED_BEATS + 1
    assert leases.take(path) is not None


def test_a_heartbeat_touches_the_file_and_notices_a_take_over(tmp_path):
    path = tmp_path / "unit"
    with Leases(beat=0.02).take(path) as lease:
        os.utime(path, (0, 0))
        until = time.monotonic() + 5
        while path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
        elsewhere(path)
        while not lease.lost and time.monotonic() < until:
            time.sleep(0.01)
        assert lease.lost
    assert read_holder(path).host == "elsewhere"  # not removed: it is the other's


def test_a_newer_lease_is_not_removed_with_the_token_of_an_older_one(tmp_path):
    from overmem.store import leases

    elsewhere(tmp_path / "unit", "newer")
    assert not leases._remove(tmp_path / "unit", "older")
    assert read_holder(tmp_path / "unit").token == "newer"
    assert [p.name for p in tmp_path.iterdir()] == ["unit"]


def test_a_later_process_of_the_same_number_is_not_taken_for_the_holder():
    here = Holder.this_process()
    assert not here.is_gone()
    assert Holder(here.host, here.process, here.started - 100, "t").is_gone()
