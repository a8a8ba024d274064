"""The display for all workers of an audit."""

import io

from rich.console import Console

from overmem.audit.launch import WorkerStatus, WorkStatus
from overmem.cli.screen import verbosity
from overmem.cli.workers_screen import render, status_line, workers_screen

STATUS = WorkStatus(
    done=30, total=90, seconds=120.0, share=0.25, alive=3,
    workers=(WorkerStatus("node-1:17", "checkpoint-50 test", 65.0), WorkerStatus("node-2:9", "base [val]", 3.0)),
    failures={"checkpoint-75": "truncated [/] file"},
)  # fmt: skip


def shown(status):
    text = io.StringIO()
    Console(file=text, width=100).print(render(status))
    return text.getvalue()


def test_a_line_has_units_rate_time_left_workers_and_failures():
    assert status_line(STATUS) == (
        "30 of 90 units; 15.0 per minute; about 6:00 left; 2 of 3 workers busy; 1 checkpoints failed: checkpoint-75"
    )


def test_the_display_lists_workers_with_their_units_and_escapes_markup():
    text = shown(STATUS)
    assert "node-1:17" in text
    assert "checkpoint-50 test" in text
    assert "1:05" in text
    assert "base [val]" in text
    assert "checkpoint-75: truncated [/] file" in text


def test_if_stderr_is_a_file_a_line_is_printed_at_the_start_and_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(verbosity, "quiet", False)  # another test in this process may have run a verb with -q
    with workers_screen() as show:
        show(STATUS)
        show(STATUS)
        show(WorkStatus(90, 90, 400.0, 1.0, 0, (), {}))
    assert [text.split(" units")[0] for text in capsys.readouterr().err.splitlines()] == [
        "overmem: 30 of 90",
        "overmem: 90 of 90",
    ]
