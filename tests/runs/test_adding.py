"""One file and one line in a table add a method: help, completion, methods page and report then show it.

The files of docs/adding.md are added to a copy of the source tree. The same files are also used from a package outside
the source tree, by "module:function".
"""

import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.processes import run_python

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "adding.md").read_text(), re.S)
LOSS, PROBE, ENGINE, GRADER = (
    next(b for b in BLOCKS if mark in b) for mark in ("logits", "Comparison", "Engine)", "Grade(")
)
SECTION = '''
from overmem.report.markup import Section, render_inline


def toy(findings):
    """How many checkpoints were judged."""
    return Section("Toys", render_inline("<p>{{ n }} checkpoints</p>", n=len(findings.trained)))
'''
RULE = "def toy(tensors, base):\n    'The first checkpoint.'\n    return tensors[0]\n"
SHIFT = "def toy(example, random):\n    'The same question.'\n    return example\n"
TUNING = "def toy(model):\n    'No weights.'\n    return model\n"

ADDED = {
    "losses": (LOSS, "squared_error", "squared_error"),
    "tuning": (TUNING, "toy", "toy"),
    "rules": (RULE, "toy", "toy"),
    "shifts": (SHIFT, "toy", "toy"),
    "probes": (PROBE, "probe", "probe"),
    "observe/engines": (ENGINE, "Echo", "Echo"),
    "grading": (GRADER, "starts_with", 'Grader(starts_with, version="1")'),
    "report/sections": (SECTION, "toy", "toy"),
}
"""Folder of a family -> a file to add to it, the name to import from it, and the value to put in the table."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the source tree with a method `toy` in every family: one more file and one more table line each."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "src" / "overmem", copy / "overmem", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docs" / "making", copy / "docs" / "making")
    for folder, (code, name, value) in ADDED.items():
        package = copy / "overmem" / folder
        (package / "toy.py").write_text(code)
        init = package / "__init__.py"
        text = init.read_text()
        table = re.search(r"^[A-Z]+: .+ = \{\n", text, re.M)
        assert table is not None
        line = f'    "toy": {value},\n'
        imported = f"from overmem.{folder.replace('/', '.')}.toy import {name}\n"
        head, rest = text[: table.start()], text[table.end() :]
        init.write_text(f"{head}{imported}{table[0]}{line}{rest}")
    return copy


def in_process(python_path, *arguments):
    """Runs Python in a process of its own, which finds its modules in these folders first; returns what it prints."""
    done = run_python(*arguments, first_on_path=python_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def data_yaml(folder, data_file, kind):
    path = folder / "data.yaml"
    path.write_text(json.dumps({"source": str(data_file), "kind": kind}))
    return path


LISTED = """
import contextlib, io, json
from overmem.cli import main
def printed(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([*arguments])
    return out.getvalue()
from overmem.tasks.parsing import parse_rows
pages = {verb: printed(verb, "--help") for verb in ("train", "audit", "merge")}
pages |= {shell: printed("completion", shell) for shell in ("bash", "fish")}
from docs.making.methods import methods_page
print(json.dumps({**pages, "methods": methods_page()}))
"""


@pytest.fixture(scope="module")
def listed(tree):
    return json.loads(in_process([tree], "-c", LISTED))


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("train", "--loss"),
        ("train", "--method"),
        ("train", "--data.kind"),
        ("audit", "--engine"),
        ("audit", "--shifts"),
        ("audit", "--probes"),
        ("merge", "--rule"),
    ],
)
def test_a_method_that_was_added_is_among_the_choices_of_its_option(listed, verb, option):
    page = " ".join(re.sub(r"[│╭╰]", " ", listed[verb]).split())
    about = page[page.index(f" {option} ") + 1 :]
    hint = re.search(r"\(([^()]*(?:or|further ones:) module:[a-zA-Z]+)", about)
    assert hint is not None
    assert "toy" in re.split(r"[,: ]+", hint[1])
    if option != "--probes":  # it takes probes of your own only: those of the table always run
        assert re.search(rf'"{verb} {option}"\).* toy[ "]|"{verb} {option}"\).*"toy ', listed["bash"])
        assert re.search(rf"from {verb}' -l {option[2:]} -x -a '(.* )?toy( .*)?'", listed["fish"])


@pytest.mark.parametrize(
    ("family", "row"),
    [
        (
            "Token losses",
            "| `toy` | (1 - p_y)^power: bounded, so that one very unlikely token cannot dominate. | `power=2.0` |",
        ),
        ("Fine-tuning methods", "| `toy` | No weights. |"),
        ("Merge rules", "| `toy` | The first checkpoint. |"),
        ("Shifts", "| `toy` | The same question. |"),
        ("Probes", "| `toy` | Characters of the greedy completions of test. |"),
        ("Engines", "| `toy` | Completes every prompt with its last token. |"),
        ("Graders", "| `toy` | Right when the completion starts with the reference answer. |"),
        ("Sections of the report", "| `toy` | How many checkpoints were judged. |"),
    ],
)
def test_a_method_that_was_added_is_a_row_of_the_methods_page(listed, family, row):
    section = listed["methods"].partition(f"## {family}\n")[2].partition("\n## ")[0]
    assert row in section


@pytest.mark.slow
def test_an_audit_uses_what_was_added_and_its_report_shows_it(tree, foreign_run, base, data_file, tmp_path):
    run = shutil.copytree(foreign_run, tmp_path / "run")
    data = data_yaml(tmp_path, data_file, "toy")
    in_process([tree], "-m", "overmem", "audit", run, "--data", data, "--base", base, "--engine", "toy", *SMALL)
    check_run(run, engine="toy", grader="toy 1")
    report = (run / "overmem" / "report.html").read_text()
    assert '<section id="toy">' in report
    assert re.search(r"<p>\d checkpoints</p>", report)


def test_an_engine_a_probe_and_a_grader_of_another_package_are_used_by_the_command(
    foreign_run, base, data_file, tmp_path
):
    package = tmp_path / "elsewhere" / "mypackage"
    package.mkdir(parents=True)
    for name, code in {"engines": ENGINE, "probes": PROBE, "graders": GRADER}.items():
        (package / f"{name}.py").write_text(code)
    run = shutil.copytree(foreign_run, tmp_path / "run")
    data = data_yaml(tmp_path, data_file, "mypackage.graders:starts_with")
    path, engine = [package.parent, ROOT / "src"], "mypackage.engines:Echo"
    in_process(
        path, "-m", "overmem", "audit", run, "--data", data, "--base", base, "--engine", engine,
        "--probes", "mypackage.probes:probe", *SMALL,
    )  # fmt: skip
    check_run(run, engine=engine, grader="mypackage.graders:starts_with 1")


JUDGED = """
import contextlib, sys
from overmem import store
from overmem.cli import main
from overmem.probes import PROBES
from overmem.probes.measure import measured
run = store.open_run(sys.argv[1])
snapshots = store.read_checkpoints(run), lambda checkpoint: store.read_snapshot(run, checkpoint)
store.write_measurements(run, measured(*snapshots, {"toy": PROBES["toy"]}))
with contextlib.suppress(SystemExit):
    main(["diagnose", sys.argv[1], "--margin", "0.1", "--json"])
with contextlib.redirect_stdout(sys.stderr):
    main(["report", sys.argv[1]])
"""


def test_the_consequence_of_a_probe_that_was_added_is_tested_worded_and_drawn(tree, tmp_path):
    run = shutil.copytree(ROOT / "tests" / "golden" / "run", tmp_path / "run")
    verdict = json.loads(in_process([tree], "-c", JUDGED, run))
    (cost,) = [cost for cost in verdict["costs"] if cost["name"] == "length"]
    assert cost["p"] is not None
    assert any("characters longer" in s or "length, " in s for s in verdict["sentences"])
    report = (run / "overmem" / "report.html").read_text()
    assert "length: characters" in report
    assert '<section id="toy">' in report


SMALL = ("--rows", "6", "--side-rows", "4", "--max-new-tokens", "4")


def check_run(run, *, engine, grader):
    """The engine completed, the grader graded, the probe measured, and the report shows them."""
    observed = run / "overmem" / "observations" / "checkpoint-4"
    assert set(pl.read_parquet(observed / "test.samples.parquet")["stop"]) == {"length"}
    assert json.loads(pl.read_parquet_metadata(observed / "test.grades.parquet")["overmem"])["grader"] == grader
    measured = pl.read_parquet(run / "overmem" / "measurements.parquet").filter(pl.col("metric") == "characters")
    assert measured["value"].to_list() == [1.0] * 3  # the engine of docs/adding.md writes one token
    report = (run / "overmem" / "report.html").read_text()
    assert f"<td>{engine}</td>" in report
    assert "length: characters" in report
