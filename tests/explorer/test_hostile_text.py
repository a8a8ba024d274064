"""Text from models and data is shown as text in every field, with its invisible characters made visible."""

import dataclasses

import numpy as np
import pytest

from overmem import store
from overmem.records import TEMPERATURES, Checkpoint, Completions, Example, Grades, Plan, PlannedSplit, Scores
from overmem.report import Report, report

TAGS = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1><!--"
BIDI = "\u202eevil\u2066 \u200b\x1b[31m\x00"


def hostile(name):
    return f"{name} {TAGS} {BIDI} ${{window.hacked=1}} javascript:window.hacked=1"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose every text is hostile."""
    run = store.open_run(tmp_path_factory.mktemp("hostile"))
    names = ["base", "checkpoint-<b>1"]
    split = "test+<i>shift"
    checkpoints = tuple(Checkpoint(name, step) for step, name in enumerate(names))
    store.write_plan(run, Plan({split: PlannedSplit("r", 2)}, checkpoints))
    examples = [Example(f"{i}{TAGS}", hostile("question"), hostile("solution"), hostile("answer")) for i in range(2)]
    store.write_examples(run, split, examples)
    store.write_token_texts(run, {0: hostile("token"), 1: BIDI})
    ids = tuple(e.id for e in examples)
    offsets, zeros = np.array([0, 2, 4]), np.zeros(4, dtype=np.float32)
    for checkpoint in checkpoints:
        scores = Scores(
            ids, offsets, np.array([0, 1, 0, 1]), zeros - 1, zeros, np.array([True, False] * 2), zeros, zeros, zeros,
            np.ones((2, len(TEMPERATURES))),
        )  # fmt: skip
        store.write_scores(run, checkpoint.name, split, scores, weights="w", request="r")
        right = checkpoint.step == 0
        texts = tuple(hostile(f"completion at {checkpoint.step}") for _ in ids)
        completions = Completions(
            ids, np.zeros(2, int), np.zeros(2), texts, np.full(2, 4), np.full(2, -1.0), (hostile("stop"),) * 2
        )
        store.write_samples(run, checkpoint.name, split, completions, weights="w", request="r")
        grades = Grades(ids, np.zeros(2, int), (hostile("read"),) * 2, np.array([right] * 2), (hostile("note"),) * 2)
        store.write_grades(run, checkpoint.name, split, grades, weights="w", request="r", grader=hostile("grader"))
    return run


def check(reader, address):
    reader.open(address)
    page = reader.page
    assert page.locator("a.open").count() == 2
    assert "U+202E" in page.inner_text("a.open >> nth=0")
    page.locator("a.open").first.click()
    page.wait_for_selector(".completion-box")
    page.keyboard.press("Tab")
    text = page.inner_text("#explorer")
    for field in ("question", "solution", "answer", "completion at 0", "completion at 1", "read", "note", "grader"):
        assert f"{field} {TAGS}" in text or field == "solution"  # the solution is shown by its tokens
    assert f"token {TAGS}" in text
    assert not any(character in text for character in BIDI.replace(" ", "").replace("evil", "").replace("[31m", ""))
    assert page.evaluate("window.hacked") is None
    assert page.locator("#explorer img, #explorer script, #explorer b b, #explorer i i").count() == 0


def test_on_the_server(reader, run, serve):
    check(reader, serve(run.root))


def test_in_the_report(reader, run, audited):
    store.write_verdict(run, dataclasses.replace(store.read_verdict(audited), headline=hostile("headline")))
    path = report(Report(str(run.root)))
    check(reader, path.as_uri())
    words = path.read_text(encoding="utf-8").partition("<script")[0]
    assert "U+202E" in words
    assert not any(character in words for character in "\u202e\u2066\u200b\x1b\x00")
