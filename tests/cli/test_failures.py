"""What libraries raise when the system refuses something is shown as one line."""

import errno

import pytest

from overmem import cli


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "--token-budget"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 59456 vs 59344"), "disk may be full"),
        (ValueError("Error while serializing: I/O error: No space left on device (os error 28)"), "disk may be full"),
        (OSError(errno.ENOSPC, "No space left on device", "run/x"), "No space left on device: run/x; finished work"),
        (OSError(errno.EFBIG, "File too large", "run/x"), "ulimit -f"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_what_to_do(error, words, monkeypatch, capsys):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train"])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert words in line


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(arguments):
        raise KeyError("os error 2")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(KeyError):
        cli.main(["train"])
