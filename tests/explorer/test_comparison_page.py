"""Two runs on one page."""

import dataclasses
import shutil

import numpy as np
import pytest

from overmem import store
from overmem.cli.compare import run as compare_command
from overmem.explorer import joined_details, joined_tables, read_example_table
from overmem.records import Estimate, Measurement
from overmem.records.comparisons import Pair
from overmem.report.comparison import ComparedRuns
from overmem.report.findings import read_findings


@pytest.fixture(scope="module")
def mine(audited, tmp_path_factory):
    """A copy that may be changed."""
    root = tmp_path_factory.mktemp("mine") / "golden"
    shutil.copytree(audited.root, root)
    return store.open_run(root)


@pytest.fixture(scope="module")
def other(audited, tmp_path_factory):
    """A copy of the run whose last checkpoint answers a third of the test questions otherwise."""
    root = tmp_path_factory.mktemp("other") / "other"
    shutil.copytree(audited.root, root)
    run = store.open_run(root)
    request = store.read_plan(run).requests["test"]
    for name in ("checkpoint-200", "checkpoint-350"):
        samples = store.read_samples(run, name, "test")
        flipped = np.array([int(i, 16) % 3 == 0 for i in samples.example_ids])
        changed = dataclasses.replace(samples, correct=samples.correct ^ flipped)
        store.write_samples(run, name, "test", changed, weights="w", request=request, grader="math 2")
        scores = store.read_scores(run, name, "test")
        surer = dataclasses.replace(
            scores, logprob=scores.logprob * np.float32(0.99), tempered_nll=scores.tempered_nll * 0.99
        )
        store.write_scores(run, name, "test", surer, weights="w", request=request)
    return run


def measure(run):
    """Accuracy and nll on test, as an audit measures them."""
    rows = []
    for checkpoint in store.read_checkpoints(run):
        where = (checkpoint.name, checkpoint.step, "test")
        right = np.array(list(greedy(run, checkpoint.name, "test").values()))
        scores = store.read_scores(run, checkpoint.name, "test")
        nll = float(scores.nll_sums.sum() / scores.token_counts.sum())
        accuracy = float(right.mean())
        rows += [
            Measurement(*where, "accuracy", "accuracy", accuracy, 0.01, accuracy - 0.02, accuracy + 0.02, len(right)),
            Measurement(*where, "perplexity", "nll", nll, 0.01, nll - 0.02, nll + 0.02, len(right)),
        ]
    store.write_measurements(run, rows)


@pytest.fixture(scope="module")
def page_path(mine, other, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "compared.html"
    measure(mine)
    measure(other)
    assert compare_command([str(mine.root), str(other.root), "--report", str(path)]) == 0
    return path


def test_the_examples_of_both_runs_are_one_table(mine, other):
    a, b = read_example_table(mine), read_example_table(other)
    both = joined_tables(a, b, ("left", "right"))
    assert both.total == a.total
    assert [c.name for c in both.checkpoints][:1] == ["left/base"]
    assert len(both.checkpoints) == len(a.checkpoints) + len(b.checkpoints)
    row = both.split.index("test")
    assert both.marks[row] == a.marks[row] + b.marks[row]
    example = both.examples[row]
    detail = joined_details((mine, other), "test", [example], ((), ()))[example.id]
    assert len(detail["surprise"]) == len(detail["completions"]) == len(both.checkpoints)


def test_the_page_shows_where_the_runs_differ_and_the_sentences_of_the_terminal(reader, page_path, mine, other):
    reader.open(
        f"{page_path.as_uri()}#examples?change=lost&split=test&from=golden/checkpoint-200&to=other/checkpoint-200"
    )
    page = reader.page
    right, wrong = (greedy(run, "checkpoint-200", "test") for run in (mine, other))
    expected = {f"test/{i}" for i in right if right[i] and not wrong[i]}
    found = reader.ids()
    assert expected
    assert set(found) == expected
    assert page.locator("#pairs tbody tr").count() >= 2
    assert "tests were made" in page.inner_text("#answer")
    page.locator("#curves .chart svg.marks").nth(1).wait_for()
    assert page.locator(".fact.ship").count() == 2


def greedy(run, checkpoint, split):
    samples = store.read_samples(run, checkpoint, split)
    return {i: c for i, d, c in zip(samples.example_ids, samples.draw, samples.correct, strict=True) if d == 0}


def pair(**changes):
    nothing = Estimate(0.0, -0.01, 0.01, 100)
    given = {"p_accuracy": 1.0, "p_nll": 1.0, "p_equivalent": 1.0, "accuracy": nothing, "nll": nothing, **changes}
    return Pair(("recommended",), "a/c-1", "b/c-2", nothing, nothing, **given)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Neither a/c-1 nor b/c-2 is shown to be better."),
        ({"p_accuracy": 0.01, "accuracy": Estimate(0.1, 0.05, 0.15, 100)}, "Ship b/c-2: its accuracy"),
        ({"p_accuracy": 0.01, "accuracy": Estimate(-0.1, -0.15, -0.05, 100)}, "Ship a/c-1: its accuracy"),
        ({"p_nll": 0.01, "nll": Estimate(0.1, 0.05, 0.15, 100)}, "a/c-1 has the lower perplexity"),
        ({"p_accuracy": None, "p_nll": None, "p_equivalent": None}, "a and b"),
    ],
)
def test_the_headline_claims_only_what_was_shown(mine, changes, words):
    findings = read_findings(mine)
    both = ComparedRuns(("a", "b"), (findings, findings), (pair(**changes),), (), "test")
    assert both.headline.startswith(words)
