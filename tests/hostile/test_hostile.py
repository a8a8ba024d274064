"""No hostile input is executed, shown raw, or followed out of the folders that were named."""

import io
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout

import pytest

from overmem.cli import main
from studies.trajectories import World
from tests.conftest import _byte_tokenizer, save_tiny_llama
from tests.hostile.inputs import HOSTILE
from tests.store.logs.written import evaluations, write_state
from tests.verdict.conftest import write_planted_run

SECRET = "a secret of 9f86d081"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "folder"
    folder.mkdir()
    save_tiny_llama(folder / "base", _byte_tokenizer(), max_position_embeddings=128)
    for step in (1, 2):
        shutil.copytree(folder / "base", folder / "run" / f"checkpoint-{step}")
    rows = [{"question": f"What is {a} plus {a}?", "solution": f"{a}\n#### {2 * a}"} for a in range(40)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_state(folder / "log", evaluations())
    (folder / "memorized").mkdir()
    memorized = write_planted_run(folder / "memorized", World(n=200, checkpoints=6, discordance=0.04), base=0.3)
    for checkpoint in memorized.root.glob("checkpoint-*"):
        (checkpoint / "config.json").write_text("{}")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    return folder.parent


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_input_is_not_executed_shown_raw_or_followed_outside(name, template, tmp_path, monkeypatch):
    home = shutil.copytree(template, tmp_path / "home", symlinks=True)
    monkeypatch.chdir(home / "folder")
    hostile = HOSTILE[name]
    hostile.prepare(home / "folder")
    outside = {path.name: path.read_text() for path in (home / "outside").iterdir()}
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exit_of:
        main(list(hostile.command))
    words = out.getvalue() + err.getvalue()
    assert exit_of.value.code in (0, 1, 2)
    assert "Traceback" not in words
    assert not CONTROL.search(words.replace("\r", "")), words
    assert not (home / "executed").exists()
    assert {path.name for path in home.iterdir()} == {"folder", "outside"}
    assert {path.name: path.read_text() for path in (home / "outside").iterdir()} == outside
    for page in (home / "folder").glob("*/overmem/report.html"):
        assert SECRET not in page.read_text().partition("<script")[0]


def test_there_are_at_least_forty():
    assert len(HOSTILE) >= 40
