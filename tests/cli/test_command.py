"""The command line: help, errors, shell completion, and the verdict in the terminal."""

import io
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from overmem import compare, store
from overmem.cli import compare as compare_command
from overmem.cli import cost, main, screen, verdict_screen
from overmem.cli.choices import named_options
from overmem.cli.verbs import VERBS
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
def run_command(capsys):
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
def test_names_regimes_and_n_are_never_truncated_and_text_wraps_between_words(monkeypatch, verdict, run, width, why):
    long_names = replace(
        verdict,
        checkpoints=tuple(
            replace(v, checkpoint=replace(v.checkpoint, name="merged-task_arithmetic-" + v.checkpoint.name))
            for v in verdict.checkpoints
        ),
    )
    for displayed in (verdict, long_names):
        console = Console(width=width, force_terminal=True, highlight=False, color_system=None, record=True)
        monkeypatch.setattr(verdict_screen, "stdout", console)
        verdict_screen.show_verdict(store.open_run(run), displayed, why=why)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        text = "\n".join(lines)
        assert "…" not in text
        unwrapped = text.replace("\n", "")
        for v in displayed.checkpoints:
            assert v.checkpoint.name in (text if len(v.checkpoint.name) + 2 <= width else unwrapped)
            assert v.regime in text
            assert str(v.accuracy.n) in text
        words = set(re.findall(r"[a-z]{4,}", " ".join([displayed.headline, *displayed.sentences, *displayed.warnings])))
        prose = [line for line in lines if line.startswith("  ") and "merged-" not in line and "/" not in line]
        endings = [line.rstrip().rpartition(" ")[2] for line in prose]
        assert all(word in words for word in endings if re.fullmatch(r"[a-z]{4,}", word) and width > 40)


def test_the_table_is_printed_first_and_why_prints_the_rest(run_command, run, verdict):
    brief, full = run_command("diagnose", run)[1], run_command("diagnose", run, "--why")[1]
    assert brief.index("checkpoint-50") < brief.index(verdict.sentences[0][:40])
    assert all(sentence in full for sentence in (*verdict.sentences, *verdict.warnings))
    assert "--why" in brief
    assert "accuracy it costs" in full
    assert "accuracy it costs" not in brief


def test_the_recommendation_and_the_price_of_the_trainers_choice_are_among_the_five_sentences(tmp_path):
    losses = [0.9, 0.52, 0.40, 0.43, 0.52, 0.61, 0.72, 0.80]
    shares = [0.40, 0.70, 0.801, 0.799, 0.80, 0.802, 0.80, 0.801]
    entries = [
        {"step": 50 * i, "eval_loss": x, "eval_accuracy": a}
        for i, (x, a) in enumerate(zip(losses, shares, strict=True), 1)
    ]
    state = {"log_history": entries, "best_model_checkpoint": "out/checkpoint-300"}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    verdict = diagnose(Diagnose(str(tmp_path)))
    shown = verdict_screen.main_sentences(verdict)
    assert len(shown) == verdict_screen.MAIN_SENTENCES < len(verdict.sentences)
    assert shown[0] == verdict.sentences[0]
    assert any(s.startswith(f"Recommended is {verdict.shipped}") for s in shown)
    assert any(s.startswith("Shipping checkpoint-300 instead") and verdict_screen.TRAINERS in s for s in shown)


def test_a_folder_of_logs_is_only_read_by_default(run_command, curves):
    assert run_command("diagnose", curves)[0] == 0
    assert [p.name for p in curves.iterdir()] == ["curves.csv"]
    run_command("diagnose", curves, "--save")
    assert (curves / "overmem" / "verdict.json").is_file()


def test_a_misspelt_verb_gets_a_suggestion(run_command):
    code, _, err = run_command("diagnoze", "run")
    assert code == 2
    assert "did you mean diagnose?" in err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_its_operands_and_examples(run_command, verb):
    code, out, _ = run_command("help", verb)
    assert code == 0
    assert all(example.split()[1] == verb for example in VERBS[verb].examples)
    assert VERBS[verb].examples[0] in " ".join(re.sub(r"[│╭╰]", " ", out).split())
    usage = " ".join(out[: out.index("Examples:")].split())
    assert all(operand.removesuffix("...") in usage for operand in VERBS[verb].operands)


@pytest.mark.parametrize("verb", VERBS)
def test_help_fills_its_lines_and_names_no_default_of_nothing(run_command, verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = run_command(verb, "--help")[1]
    assert not re.search(r"\{None\}|default: (None|\)|\(\))", out)
    lines = [line[2:-2].rstrip() for line in out.splitlines() if line.startswith("│")]
    for line, following in pairwise(lines):
        words = following.split()
        is_continued = words and following.startswith(" " * 15) and line.startswith(" " * 15)
        if is_continued and not words[0].startswith("("):
            assert len(line) + 1 + len(words[0]) > 76, line


def test_train_without_a_recipe_is_refused(run_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_command("train")
    assert code == 2
    assert "RECIPE.yaml" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_has_every_verb_and_option(run_command, shell):
    code, out, _ = run_command("completion", shell)
    assert code == 0
    assert all(verb in out for verb in VERBS)
    assert "side-rows" in out
    assert run_command("completion", "cmd")[0] == 2


@pytest.fixture
def complete_in_shell(run_command, tmp_path, monkeypatch):
    """Completes a line in a real shell, in a folder with a run and a recipe."""
    (tmp_path / "my runs").mkdir()
    (tmp_path / "recipe.yaml").touch()
    monkeypatch.chdir(tmp_path)

    def complete(shell, line):
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        words = line.split(" ")
        script = tmp_path / f"overmem.{shell}"
        script.write_text(run_command("completion", shell)[1])
        if shell == "fish":
            command = f"source {script}; complete -C {shlex.quote(line)}"
        else:
            array = " ".join(map(shlex.quote, words))
            command = f"source {script}; COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _overmem; "
            command += "printf '%s\\n' \"${COMPREPLY[@]}\""
        done = subprocess.run([shell, "-c", command], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return [candidate.split("\t")[0] for candidate in done.stdout.splitlines()]

    return complete


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("line", "expected"),
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
def test_a_real_shell_completes_verbs_options_names_and_paths(complete_in_shell, shell, line, expected):
    assert [candidate.removesuffix("/").replace("\\ ", " ") for candidate in complete_in_shell(shell, line)] == expected


def test_no_progress_bar_is_shown_before_the_first_update(capsys):
    with pytest.raises(ValueError, match="wrong"), screen.bar():
        raise ValueError("wrong")
    assert capsys.readouterr().err == ""


@pytest.fixture
def terminal(monkeypatch):
    """Makes the standard streams terminals of 60 columns; returns the console of what is printed."""
    console = Console(
        width=60, force_terminal=True, highlight=False, color_system=None, record=True, file=io.StringIO()
    )
    for module in (screen, cost, compare_command):
        monkeypatch.setattr(module, "stdout", console)
    return console


def wraps_between_words(lines, text, width=60):
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())


def test_a_comparison_wraps_between_words(terminal, monkeypatch):
    sentences = ("The last checkpoints, checkpoint-1200 and checkpoint-1300: accuracy 71.0% and 72.0%, not shown.",) * 2
    monkeypatch.setattr(compare, "compare", lambda config: SimpleNamespace(sentences=sentences))
    assert compare_command.run(["a", "b"]) == 0
    wraps_between_words(terminal.export_text().splitlines(), " ".join(sentences))


@pytest.mark.parametrize("width", [60, 100])
def test_an_estimate_of_costs_is_stacked_where_the_table_is_too_wide(terminal, width):
    terminal.width = width
    split = SimpleNamespace(
        split="test+preamble", examples=500, scored_tokens=1_234_567, generated_tokens=987_654, seconds=3725.0,
        accuracy=0.5, accuracy_half_width=0.044, nll_half_width=0.012,
    )  # fmt: skip
    cost.show_cost(
        SimpleNamespace(
            failures={"checkpoint-7": "no weights"}, splits=[split], shown=None, memory_bytes=3 * 2**30, units=12,
            checkpoints=["a", "b"], already_done=0, seconds=60.0, most_seconds=90.0, device="cpu", dtype="float32",
            warm_up_seconds=3.0,
        )
    )  # fmt: skip
    text = terminal.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(figure in text for figure in ("test+preamble", "500", "1,234,567", "987,654", "0.50 ± 0.044", "± 0.012"))


def test_an_error_wraps_between_words_in_a_terminal_and_is_one_line_elsewhere(capsys, monkeypatch, run_command):
    plain = run_command("diagnoze", "run")[2]
    assert plain.count("\n") == 1
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    wraps_between_words(run_command("diagnoze", "run")[2].splitlines(), plain)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_time_left_is_first_and_whole_and_names_are_not_truncated(monkeypatch, width):
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    monkeypatch.setattr(screen, "stderr", console)
    with screen.bar() as update:
        for done in (0, 50, 100):
            update("checkpoint-12000 test+irrelevant scores and samples", done, 100)
    shown = console.file.getvalue()
    assert "…" not in shown
    assert re.search(r"0:00:00 left .*100%", shown)
    assert all(word in shown for word in ("checkpoint-12000", "test+irrelevant", "scores", "samples"))


def test_quiet_prints_only_results(run_command, run):
    code, out, err = run_command("diagnose", run, "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["headline"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_names_in_help_are_those_of_the_tables(verb):
    for _, source in named_options(import_module(f"overmem.cli.{VERBS[verb].module}").COMMAND):
        if source is not None:
            module, _, table = source.table.partition(":")
            assert source.names() == tuple(getattr(import_module(module), table))
