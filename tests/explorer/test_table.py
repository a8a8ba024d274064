"""The data that the page reads."""

import base64
import json
import zlib
from functools import partial

import numpy as np
import pytest

from overmem import store
from overmem.explorer import by_relevance, compared, embedded, read_details, read_example_table, regimes_of
from overmem.report import Report, report


@pytest.fixture(scope="module")
def table(audited):
    return read_example_table(audited)


def lines_of(data):
    return [json.loads(line) for line in zlib.decompress(base64.b64decode(data)).decode().splitlines()]


def embed(run, table, size):
    verdict = store.read_verdict(run)
    names = compared(verdict, table.checkpoints)
    details = partial(read_details, run, draws_at=names)
    return embedded(table, size, names=names, regimes=regimes_of(verdict), details=details)


def test_marks_and_surprise_are_those_of_the_observations(audited, table):
    rows = [i for i, split in enumerate(table.split) if split == "val"]
    for at, checkpoint in enumerate(table.checkpoints):
        samples = store.read_samples(audited, checkpoint.name, "val")
        right = {i: c for i, d, c in zip(samples.example_ids, samples.draw, samples.correct, strict=True) if d == 0}
        scores = store.read_scores(audited, checkpoint.name, "val")
        nll = dict(zip(scores.example_ids, scores.nll_sums / scores.token_counts, strict=True))
        for row in rows:
            identity = table.examples[row].id
            assert (table.marks[row][at] in "Rr") == right[identity]
            assert table.nll[row][at] == pytest.approx(1000 * nll[identity], abs=0.6)


def test_examples_of_membership_attacks_are_left_out(table):
    assert not any("~" in split for split in table.split)
    assert {"train", "val", "test", "test+typos", "ood-domain"} <= set(table.split)


def test_a_missing_unit_gives_unknown_marks_and_no_error(audited, tmp_path):
    import shutil

    shutil.copytree(audited.root, tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    run.unit_path("checkpoint-350", "test", "samples").unlink()
    run.unit_path("checkpoint-350", "test", "scores").write_bytes(b"half")
    table = read_example_table(run)
    place = [c.name for c in table.checkpoints].index("checkpoint-350")
    row = table.split.index("test")
    assert table.marks[row][place] == "-"
    assert table.nll[row][place] == -1
    detail = read_details(run, "test", [table.examples[row]])[table.examples[row].id]
    assert detail["surprise"][place] is None
    assert detail["completions"][place] == []


def test_the_most_relevant_examples_come_first(audited, table):
    names = compared(store.read_verdict(audited), table.checkpoints)
    places = [[c.name for c in table.checkpoints].index(name) for name in names]
    order = by_relevance(table, names)
    assert sorted(order) == list(range(table.total))
    kinds = ["".join(table.marks[row][at].upper() for at in places) for row in order]
    lost = kinds.count("RW")
    assert lost > 3
    assert set(kinds[:lost]) == {"RW"}
    assert set(kinds[lost : lost + kinds.count("WR")]) == {"WR"}


def test_as_many_examples_are_embedded_as_fit(audited, table):
    size = 60_000
    some = embed(audited, table, size)
    assert 0.7 * size < len(some) <= size
    *details, head = lines_of(some)
    assert 10 < len(details) == len(head["id"]) < head["total"] == table.total
    everything = lines_of(embed(audited, table, 50_000_000))
    assert len(everything) == table.total + 1
    first = details[0]
    assert len(first["tokens"]) == len(first["surprise"][0]) == len(first["argmax"][0])
    assert embed(audited, table, 100) == ""


def test_embedded_examples_count_the_sampled_completions_that_are_left_out(audited, table):
    *details, head = lines_of(embed(audited, table, 50_000_000))
    kept = [c["name"] in head["compared"] for c in head["checkpoints"]]
    sampled = next(d for d in details if any(len(c) > 1 for c in d["completions"]))
    assert [n == 0 for n in sampled["left_out"]] == kept
    assert all(len(c) == 1 for c, is_kept in zip(sampled["completions"], kept, strict=True) if not is_kept)


def test_details_hold_the_tokens_of_the_solution(audited, table):
    row = table.split.index("ood-longer")
    detail = read_details(audited, "ood-longer", [table.examples[row]])[table.examples[row].id]
    assert "".join(detail["tokens"]).strip().startswith(detail["solution"])
    mean = np.mean(detail["surprise"][1])
    assert mean == pytest.approx(table.nll[row][1], abs=1)


@pytest.mark.parametrize("megabytes", [1.3, pytest.param(2.0, marks=pytest.mark.slow)])
def test_the_report_stays_below_its_size(audited, tmp_path, megabytes):
    path = report(Report(str(audited.root), megabytes=megabytes))
    assert 0.5e6 < path.stat().st_size <= 1e6 * megabytes
    report(Report(str(audited.root)))


def test_a_size_too_small_for_any_example_leaves_the_page_whole(audited):
    path = report(Report(str(audited.root), megabytes=0.1))
    assert "examples-data" not in path.read_text(encoding="utf-8").partition("<main>")[2].partition("<script")[0]
    report(Report(str(audited.root)))
