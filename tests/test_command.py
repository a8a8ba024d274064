"""The command's last words: an error of the system is one line, and says what to do."""

import errno
import os
from pathlib import Path

import pytest

from overmem.cli import main
from overmem.cli import report as report_command


@pytest.fixture
def ended(monkeypatch, capsys):
    """Runs a verb that ends with this error; returns the exit code and what was said."""

    def of(error):
        def run(arguments):
            raise error

        monkeypatch.setattr(report_command, "run", run)
        with pytest.raises(SystemExit) as caught:
            main(["report", "x"])
        return caught.value.code, capsys.readouterr().err

    return of


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "what was written stands"),
        (errno.EACCES, "give --out"),
        (errno.EPERM, "give --out"),
        (errno.EROFS, "give --out"),
        (errno.EISDIR, ""),
    ],
)
def test_an_error_of_the_system_names_the_file_and_what_to_do(ended, number, advice):
    code, said = ended(OSError(number, os.strerror(number), "some/file"))
    assert code == 2
    assert said.startswith(f"overmem: {os.strerror(number)}: some/file")
    assert advice in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("text", ["CUDA out of memory. Tried", "DefaultCPUAllocator: can't allocate memory"])
def test_a_full_memory_names_the_option_that_takes_less(ended, text):
    code, said = ended(RuntimeError(text))
    assert code == 2
    assert "--token-budget" in said


def test_an_error_of_the_program_stays_one(ended):
    with pytest.raises(RuntimeError, match="a bug"):
        ended(RuntimeError("a bug"))


def test_a_path_with_brackets_is_printed_whole(monkeypatch, capsys):
    path = "runs/[lr=1e-3]/[bold]/overmem/report.html"
    monkeypatch.setattr(report_command, "report", lambda config: Path(path))
    assert report_command.run(["runs/[lr=1e-3]"]) == 0
    assert capsys.readouterr().out == f"{path}\n"
