"""Sandboxes: programs get their status, and hostile programs are denied."""

import socket

import pytest

from hostile import PROGRAMS
from overmem.errors import BadRequest
from overmem.grading.sandboxes import program as programs
from overmem.grading.sandboxes import selection
from overmem.grading.sandboxes.check import failed_check
from overmem.grading.sandboxes.execution import reply_in
from overmem.grading.sandboxes.program import Limits, Outcome, Program
from overmem.grading.sandboxes.selection import SANDBOXES, choose_sandbox, run_programs

LIMITS = Limits(seconds=1.0, memory=1 << 29)
USABLE = [name for name, sandbox in SANDBOXES.items() if not sandbox.missing()]
needs_sandbox = pytest.mark.skipif(not USABLE, reason="no sandbox can be used on this machine")


@pytest.fixture(params=USABLE)
def sandbox(request):
    return SANDBOXES[request.param]


def test_right_wrong_and_broken_programs_get_their_status(sandbox):
    tests = "assert double(21) == 42"
    assert sandbox.run(Program("def double(x): return 2 * x", tests), LIMITS).status == "right"
    assert sandbox.run(Program("def double(x): return x", tests), LIMITS).status == "wrong"
    assert sandbox.run(Program("def double(x): return y", tests), LIMITS).status == "error"
    assert sandbox.run(Program("def double(x) return", tests), LIMITS).status == "error"


@pytest.mark.parametrize(("load", "status"), [(0.2, "timeout"), (6.0, "right")])
def test_a_program_may_wait_longer_on_a_busy_machine(sandbox, monkeypatch, load, status):
    monkeypatch.setattr(programs, "processes_per_cpu", lambda: load)
    waits = Program("import time\ntime.sleep(1)\nx = 1", "assert x == 1")
    assert sandbox.run(waits, Limits(seconds=0.25)).status == status


def test_every_usable_sandbox_passes_its_check(sandbox):
    assert failed_check(sandbox) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_is_denied_and_gets_the_right_status(sandbox, name, tmp_path):
    source, statuses = PROGRAMS[name]
    secret, target = tmp_path / "secret", tmp_path / "target"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = source.format(secret=str(secret), target=str(target), port=listener.getsockname()[1])
        outcome = sandbox.run(Program(attempt, ""), LIMITS)
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert outcome.status in statuses, outcome
    assert not target.exists()
    assert len(outcome.detail) < 400


def test_a_sandbox_that_denies_nothing_fails_its_check(monkeypatch):
    class OpenSandbox:
        name = "open"

        def missing(self):
            return ""

        def run(self, program, limits):
            try:
                exec(program.source + "\n" + program.tests, {})
            except Exception as error:
                return Outcome("error", str(error))
            return Outcome("right")

    class RefusingSandbox(OpenSandbox):
        def run(self, program, limits):
            return Outcome("refused", "whatever it was")

    monkeypatch.setattr("os.fork", lambda: 1)
    assert "does not deny reading a file" in failed_check(OpenSandbox())
    assert "does not run a correct program" in failed_check(RefusingSandbox())


def test_without_a_sandbox_no_program_runs_and_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(selection, "SANDBOXES", {})
    choose_sandbox.cache_clear()
    with pytest.raises(BadRequest, match=r"overmem\[code\]"):
        choose_sandbox()
    choose_sandbox.cache_clear()


def test_a_reply_without_the_nonce_does_not_count():
    assert reply_in(b"right\n", "word") is None
    assert reply_in(b"word right \n", "word").status == "right"
    assert reply_in(b"word splendid \n", "word") is None
    assert reply_in(b"", "word") is None


@needs_sandbox
def test_many_programs_keep_their_order_and_progress_is_counted():
    programs = [Program(f"x = {i}", f"assert x % 2 == {i % 2} and x != 3") for i in range(6)]
    progress = []
    outcomes = run_programs(programs, choose_sandbox(), LIMITS, advance=progress.append)
    assert [o.status for o in outcomes] == ["right", "right", "right", "wrong", "right", "right"]
    assert sum(progress) == 6


@needs_sandbox
def test_the_first_pass_can_only_decide_that_a_program_is_right():
    unsupported = Program("import colorsys", "assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)")  # unknown to Monty
    wrong = Program("x = 1", "assert x == 2")
    assert [o.status for o in run_programs([unsupported, wrong], choose_sandbox(), LIMITS)] == ["right", "wrong"]
