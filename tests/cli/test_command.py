"""The command as a person types it and reads it."""

import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console

from overmem import store
from overmem.cli import VERBS, main, screen, verdict_screen
from overmem.cli.choices import named_options
from overmem.diagnose import Diagnose, diagnose

GOLDEN = Path(__file__).parents[1] / "golden" / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screen") / "run"
    shutil.copytree(GOLDEN, folder)
    return folder


@pytest.fixture(scope="module")
def verdict(run):
    return diagnose(Diagnose(str(run)))


@pytest.fixture
def called(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_of:
            main([*map(str, arguments)])
        return exit_of.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def curves(tmp_path):
    rows = "".join(f"{s},{n},0.8\n" for s, n in zip(range(50, 450, 50), (6, 5, 4, 4, 5, 6, 7, 8), strict=True))
    (tmp_path / "curves.csv").write_text("step,eval_loss,eval_accuracy\n" + rows)
    return tmp_path


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("why", [False, True])
def test_no_name_regime_or_n_is_cut_and_words_wrap_between_words(monkeypatch, verdict, run, width, why):
    long = replace(
        verdict,
        checkpoints=tuple(
            replace(v, checkpoint=replace(v.checkpoint, name="merged-task_arithmetic-" + v.checkpoint.name))
            for v in verdict.checkpoints
        ),
    )
    for shown in (verdict, long):
        console = Console(width=width, force_terminal=True, highlight=False, color_system=None, record=True)
        monkeypatch.setattr(verdict_screen, "stdout", console)
        verdict_screen.show_verdict(store.open_run(run), shown, why=why)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert "…" not in text
        joined = text.replace("\n", "")
        for v in shown.checkpoints:
            assert v.checkpoint.name in (text if len(v.checkpoint.name) + 2 <= width else joined)
            assert v.regime in text
            assert str(v.accuracy.n) in text
        words = set(re.findall(r"[a-z]{4,}", " ".join([shown.headline, *shown.sentences, *shown.warnings])))
        prose = [line for line in lines if line.startswith("  ") and "merged-" not in line and "/" not in line]
        endings = [line.rstrip().rpartition(" ")[2] for line in prose]
        assert all(word in words for word in endings if re.fullmatch(r"[a-z]{4,}", word) and width > 40)


def test_the_table_comes_first_and_why_shows_the_rest(called, run, verdict):
    short, full = called("diagnose", run)[1], called("diagnose", run, "--why")[1]
    assert short.index("checkpoint-50") < short.index(verdict.sentences[0][:40])
    assert all(sentence in full for sentence in (*verdict.sentences, *verdict.warnings))
    assert "--why" in short
    assert "accuracy it costs" in full
    assert "accuracy it costs" not in short


def test_a_folder_of_logs_is_only_read_by_default(called, curves):
    assert called("diagnose", curves)[0] == 0
    assert [p.name for p in curves.iterdir()] == ["curves.csv"]
    called("diagnose", curves, "--save")
    assert (curves / "overmem" / "verdict.json").is_file()


def test_a_misspelt_verb_is_answered_with_the_right_one(called):
    code, _, err = called("diagnoze", "run")
    assert code == 2
    assert "did you mean diagnose?" in err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_its_operands_and_examples(called, verb):
    code, out, _ = called("help", verb)
    assert code == 0
    assert all(example.split()[1] == verb for example in VERBS[verb].examples)
    assert VERBS[verb].examples[0] in " ".join(re.sub(r"[│╭╰]", " ", out).split())
    assert all(operand.removesuffix("...") in out for operand in VERBS[verb].operands if operand.isupper())


def test_train_without_a_recipe_is_refused(called, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = called("train")
    assert code == 2
    assert "RECIPE.yaml" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_has_every_verb_and_option(called, shell):
    code, out, _ = called("completion", shell)
    assert code == 0
    assert all(verb in out for verb in VERBS)
    assert "side-rows" in out
    assert called("completion", "cmd")[0] == 2


@pytest.fixture
def completed(called, tmp_path, monkeypatch):
    """What the real shell completes a line to, in a folder with a run and a recipe."""
    (tmp_path / "my runs").mkdir()
    (tmp_path / "recipe.yaml").touch()
    monkeypatch.chdir(tmp_path)

    def complete(shell, line):
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        words = line.split(" ")
        script = tmp_path / f"overmem.{shell}"
        script.write_text(called("completion", shell)[1])
        if shell == "fish":
            command = f"source {script}; complete -C {shlex.quote(line)}"
        else:
            array = " ".join(map(shlex.quote, words))
            command = f"source {script}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _overmem; "
            command += "printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run([shell, "-c", command], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return [found.split("\t")[0] for found in done.stdout.splitlines()]

    return complete


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "to"),
    [
        ("overmem diag", ["diagnose"]),
        ("overmem comp", ["compare", "completion"]),
        ("overmem help comp", ["compare"]),
        ("overmem completion fi", ["fish"]),
        ("overmem audit --side", ["--side-rows"]),
        ("overmem diagnose runs --eval-s", ["--eval-set"]),
        ("overmem audit --shifts pre", ["preamble"]),
        ("overmem diagnose my", ["my runs"]),
        ("overmem train recipe", ["recipe.yaml"]),
    ],
)
def test_a_real_shell_completes_verbs_options_names_and_paths(completed, shell, line, to):
    assert [found.removesuffix("/").replace("\\ ", " ") for found in completed(shell, line)] == to


def test_no_bar_is_drawn_before_the_first_step(capsys):
    with pytest.raises(ValueError, match="wrong"), screen.bar():
        raise ValueError("wrong")
    assert capsys.readouterr().err == ""


def test_quiet_prints_results_only(called, run):
    code, out, err = called("diagnose", run, "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["headline"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_names_that_help_lists_are_those_of_the_tables(verb):
    for _, source in named_options(import_module(f"overmem.cli.{VERBS[verb].module}").COMMAND):
        if source is not None:
            module, _, table = source.table.partition(":")
            assert source.names() == tuple(getattr(import_module(module), table))
