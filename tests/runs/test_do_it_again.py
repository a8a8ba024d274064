"""What a report says to type makes it again, from the run and its data alone."""

import html
import json
import re
import shlex
import shutil

import pytest

from overmem import store


def commands(page):
    (block,) = re.findall(r'<pre class="commands">(.*?)</pre>', page.read_text(), re.DOTALL)
    lines = [shlex.split(html.unescape(line)) for line in block.splitlines()]
    assert all(line[0] == "overmem" for line in lines)
    return [line[1:] for line in lines]


def again(overmem, run):
    """Everything that overmem knows of the run is deleted, and the report's commands are run."""
    made = run.report_path
    before = (store.to_jsonable(store.read_verdict(run)), made.read_text())
    typed = commands(made)
    shutil.rmtree(run.home)
    for arguments in typed:
        done = overmem(*arguments)
        assert done.returncode == 0, done.stderr
    assert store.to_jsonable(store.read_verdict(run)) == before[0]
    assert commands(made) == typed
    return typed


@pytest.fixture
def run(foreign_run, tmp_path):
    return store.open_run(shutil.copytree(foreign_run, tmp_path / "a run"))


def test_an_audited_run_with_its_options(overmem, run, base, data_file):
    asked = ("--rows", 6, "--max-new-tokens", 8, "--splits", "val", "test", "--template", "Q: {question}\nA:")
    done = overmem("audit", run.root, "--data", data_file, "--base", base, *asked)
    assert done.returncode == 0, done.stderr
    assert again(overmem, run)[0][0] == "audit"
    assert store.read_plan(run).template == "Q: {question}\\nA:"
    overmem("diagnose", run.root, "--margin", 0.1, "--d-nll", 0.2)
    overmem("report", run.root)
    assert [line[0] for line in again(overmem, run)] == ["audit", "diagnose", "report"]


def test_a_run_of_which_only_the_logs_were_read(overmem, tmp_path):
    rows = [{"step": 10 * i, "eval_loss": x, "eval_f1": 0.1 * i} for i, x in enumerate((0.9, 0.5, 0.4, 0.6), 1)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    run = store.open_run(tmp_path)
    for log in (tmp_path, tmp_path / "trainer_state.json"):
        assert overmem("diagnose", log, "--eval-rows", 300, "--save").returncode == 0
        overmem("report", tmp_path)
        typed = again(overmem, run)
        assert typed[0] == ["diagnose", str(log), "--eval-rows", "300", "--save"]


def test_files_elsewhere_are_made_elsewhere(overmem, run, data_file, tmp_path):
    out = tmp_path / "notes"
    overmem("audit", run.root, "--data", data_file, "--rows", 4, "--splits", "val", "--max-new-tokens", 8, "--out", out)
    again(overmem, store.open_run(run.root, out))
