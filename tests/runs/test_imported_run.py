"""An audit of a run whose answers were imported from another harness: it adds the scores and keeps the answers."""

import json
import shutil

import pytest

from overmem import store
from overmem.audit import Audit, audit
from overmem.evaluations.options import ImportLogs
from overmem.evaluations.verb import import_logs


@pytest.fixture
def imported(foreign_run, data_file, tmp_path):
    """The run, and lm-eval's answers of its last checkpoint to ten questions: every other one right."""
    run = shutil.copytree(foreign_run, tmp_path / "run")
    rows = [json.loads(line) for line in data_file.read_text().splitlines()[:10]]
    samples = [
        {"doc_id": i, "doc": row, "target": row["solution"], "arguments": [[row["question"], {"do_sample": False}]],
         "resps": [[f"text {i}"]], "filtered_resps": [f"{i}"], "filter": "none", "metrics": ["exact_match"],
         "exact_match": float(i % 2)}
        for i, row in enumerate(rows)
    ]  # fmt: skip
    log = tmp_path / "step-4" / "samples_sums_2026-11-28T20-00-00.1.jsonl"
    log.parent.mkdir()
    log.write_text("".join(json.dumps(s) + "\n" for s in samples))
    import_logs(ImportLogs("lm-eval", (str(log.parent),), str(run), split="val"))
    return run


def texts(run, checkpoint):
    samples = store.read_samples(store.open_run(run), checkpoint, "val")
    return {text: bool(right) for text, right in zip(samples.text, samples.correct, strict=True)}


def test_an_audit_scores_the_imported_questions_and_keeps_their_answers_and_grades(imported, base):
    before = texts(imported, "checkpoint-4")
    assert before == {f"text {i}": bool(i % 2) for i in range(10)}
    lines = []
    done = audit(Audit(str(imported), base=str(base), max_new_tokens=8), say=lines.append)
    assert any("imported completions are used for 1 units" in line for line in lines)
    assert done.failures == {}
    assert texts(imported, "checkpoint-4") == before
    curves = store.read_curves(done.run, "val")
    assert [c.name for c in curves.checkpoints] == ["base", "checkpoint-2", "checkpoint-4"]
    assert curves.correct.shape == (3, 10)
    assert curves.notes == {}
    accuracy = {m.checkpoint: m.value for m in done.measurements if m.metric == "accuracy" and m.split == "val"}
    assert accuracy["checkpoint-4"] == 0.5
    again = audit(Audit(str(imported), base=str(base), max_new_tokens=8))
    assert (again.computed, texts(imported, "checkpoint-4")) == (0, before)


def test_completions_that_an_audit_made_are_not_replaced_by_a_log(imported, base, tmp_path):
    audit(Audit(str(imported), base=str(base), max_new_tokens=8, checkpoints=("checkpoint-2",)))
    log = shutil.copytree(tmp_path / "step-4", tmp_path / "step-2")
    with pytest.raises(Exception, match="checkpoint-2 has completions of val sampled by an audit"):
        import_logs(ImportLogs("lm-eval", (str(log),), str(imported), split="val"))
