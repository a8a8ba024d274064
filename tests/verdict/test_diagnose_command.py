import json
import shutil

import pytest

from overmem.cli import main


@pytest.fixture(scope="module")
def planted(tmp_path_factory, write_run, world):
    return write_run(tmp_path_factory.mktemp("planted"), world, ood_loss=0.15).root


@pytest.fixture
def run(planted, tmp_path):
    return shutil.copytree(planted, tmp_path, dirs_exist_ok=True)


def called(capsys, *arguments):
    """Exit code, stdout and stderr of `overmem diagnose`."""
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", *map(str, arguments)])
    return stopped.value.code, *capsys.readouterr()


def test_words_and_tables_are_printed_and_the_exit_code_is_0(capsys, run):
    code, out, _ = called(capsys, run)
    assert code == 0
    assert out.strip().startswith("Ship checkpoint-")
    assert "At its end (checkpoint-1000) the run is over-memorized." in out
    assert "Judged on val, confirmed on test." in out


def test_json_is_the_verdict_and_nothing_else(capsys, run):
    code, out, _ = called(capsys, run, "--json")
    verdict = json.loads(out)
    assert code == 0
    assert verdict["regime"] == "over-memorized"
    assert verdict["recommended"]["regret"]["value"] == 0.0


def test_markdown_is_for_a_pull_request(capsys, run):
    code, out, _ = called(capsys, run, "--markdown", "--fail-on", "never")
    assert code == 0
    assert out.startswith("### Ship checkpoint")
    assert "| checkpoint | regime | accuracy | nll | excess |" in out


@pytest.mark.parametrize(("condition", "code"), [("confirmed", 1), ("over-memorized", 1), ("over-fitted", 0)])
def test_a_condition_that_is_met_is_exit_code_1(capsys, run, condition, code):
    assert called(capsys, run, "--fail-on", condition)[0] == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fail-on", "sunny"), "over-memorized"),
        (("--json", "--markdown"), "--json and --markdown cannot be combined"),
        (("--yes",), "--yes needs --prune"),
    ],
)
def test_a_request_without_sense_is_exit_code_2_and_one_clear_error(capsys, run, arguments, said):
    code, out, err = called(capsys, run, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_prune_lists_and_deletes_only_with_yes(capsys, run):
    code, listed, _ = called(capsys, run, "--prune")
    names = [line.rpartition("/")[2] for line in listed.splitlines()]
    assert code == 0
    assert names
    assert all((run / name).is_dir() for name in names)
    _, deleted, _ = called(capsys, run, "--prune", "--yes")
    assert deleted == listed.replace("can be deleted", "deleted")
    assert not any((run / name).exists() for name in names)


def test_curves_alone_prune_nothing_and_say_so(capsys, tmp_path):
    rows = "".join(f"{s},{n},0.8\n" for s, n in zip(range(50, 450, 50), (6, 5, 4, 4, 5, 6, 7, 8), strict=True))
    (tmp_path / "curves.csv").write_text("step,eval_loss,eval_accuracy\n" + rows)
    code, out, _ = called(capsys, tmp_path, "--prune", "--yes")
    assert code == 0
    assert out.startswith("nothing can be deleted: the evidence is curves only")
    assert "confirmed on test" not in called(capsys, tmp_path)[1]
