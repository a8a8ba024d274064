"""The verdict from imported logs equals that of an audit of the same completions."""

import pytest

from overmem import store
from overmem.diagnose import Diagnose, diagnose
from overmem.evaluations.export import export_logs
from overmem.evaluations.options import ExportLogs, ImportLogs
from overmem.evaluations.verb import import_logs
from overmem.report import Report, report
from tests.evaluations.conftest import assert_same_verdict


@pytest.fixture(scope="module")
def own(audited):
    return diagnose(Diagnose(str(audited.root), save=False))


def root_with_folders(audited, tmp_path):
    """The same run before any audit: checkpoint folders only."""
    root = tmp_path / "run"
    for checkpoint in store.read_checkpoints(audited):
        (root / checkpoint.name).mkdir(parents=True)
    return root


def test_from_lm_eval_logs(audited, own, lm_eval_logs, tokenizer, tmp_path):
    root = root_with_folders(audited, tmp_path)
    logs, lines = tuple(map(str, reversed(lm_eval_logs))), []
    for split in ("val", "test"):
        done = import_logs(
            ImportLogs("lm-eval", logs, str(root), task=(f"sums_{split}", f"sums_{split}_nll"), split=split,
                       tokenizer=tokenizer), say=lines.append,
        )  # fmt: skip
        assert (done.examples, done.completions, done.scored) == (400, 2400, 2400)
    assert any("checkpoint-166, checkpoint-333" in line for line in lines), lines
    assert any("'strict'" in line and "flexible" in line for line in lines), lines
    assert_same_verdict(diagnose(Diagnose(str(root))), own)
    assert "</html>" in report(Report(str(root))).read_text()


@pytest.mark.parametrize("named", [True, False])
def test_from_logs_of_inspect(audited, own, tmp_path, named):
    root = root_with_folders(audited, tmp_path)
    paths = export_logs(ExportLogs(str(audited.root), str(tmp_path / "logs")))
    for split in ("val", "test"):
        logs = sorted((str(p) for p in paths if p.stem.endswith(f"_{split}")), key=len)
        names = tuple(p.rpartition("/")[2].rpartition("_")[0] for p in logs) if named else ()
        import_logs(ImportLogs("inspect", tuple(logs), str(root), checkpoints=names, split=split))
    assert_same_verdict(diagnose(Diagnose(str(root))), own)


def test_a_run_without_folders_is_judged_too(audited, own, lm_eval_logs, tokenizer, tmp_path):
    for split in ("val", "test"):
        tasks = (f"sums_{split}", f"sums_{split}_nll")
        import_logs(ImportLogs("lm-eval", tuple(map(str, lm_eval_logs)), str(tmp_path / "new"), task=tasks, split=split,
                               tokenizer=tokenizer))  # fmt: skip
    assert_same_verdict(diagnose(Diagnose(str(tmp_path / "new"))), own)


def test_answers_alone_are_accuracy_without_a_made_up_nll(audited, own, lm_eval_logs, tmp_path):
    root = root_with_folders(audited, tmp_path)
    import_logs(ImportLogs("lm-eval", tuple(map(str, lm_eval_logs)), str(root), task=("sums_val",), split="val"))
    judged = diagnose(Diagnose(str(root)))
    assert [v.accuracy for v in judged.checkpoints] == [v.accuracy for v in own.checkpoints]
    assert all(v.nll.value is None for v in judged.checkpoints)
    nll = [m for m in store.read_measurements(store.open_run(root)) if m.metric == "nll" and m.split == "val"]
    assert nll
    assert all(m.value is None and m.note for m in nll)
    assert "</html>" in report(Report(str(root))).read_text()
