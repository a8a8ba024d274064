"""Rephrased data sets: rows are paired with the test questions that they rephrase."""

import json

import pytest

from overmem.errors import BadData, BadRequest
from overmem.shifts import original_id
from overmem.tasks import Data, load

ROWS = [
    {"id": f"n{a}{b}", "question": f"Ann has {a} pens and {b} cups. How many things?", "answer": f"#### {a + b}"}
    for a in range(3, 9)
    for b in range(13, 19)
]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rephrase(row, prefix="Her things:"):
    return {"question": f"{prefix} {row['question']}", "answer": row["answer"], "seed_question": row["question"]}


@pytest.fixture
def data_with_rephrased(tmp_path):
    """Data with a shifted set named `mine` of these rows."""

    def make(rows, fields=None, rephrased_fields=None):
        main, rephrased = write_rows(tmp_path / "main.jsonl", ROWS), write_rows(tmp_path / "rephrased.jsonl", rows)
        shifted = {"mine": Data(rephrased, fields=rephrased_fields or {})}
        return Data(main, train=0, val=0, test=20, fields=fields or {}, shifted=shifted)

    return make


def test_rows_are_paired_with_their_originals_by_the_original_question(data_with_rephrased):
    data = load(data_with_rephrased([rephrase(row) for row in ROWS]))
    test = {e.id: e for e in data.splits["test"]}
    rephrased = data.splits["test+mine"]
    assert [original_id(e.id, "mine") for e in rephrased] == list(test)
    for e in rephrased:
        original = test[original_id(e.id, "mine")]
        assert e.question == f"Her things: {original.question}"
        assert e.answer == original.answer
    assert "test+mine: 20 of 20 test questions are rephrased, by 36 rows" in data.notes
    assert "test+mine: 16 rows left out whose original is not among the test questions" in data.notes


def test_rows_are_paired_by_an_id_column_that_both_files_have(data_with_rephrased):
    rows = [{"of": row["id"], "question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    data = load(data_with_rephrased(rows, {"group": "id"}, {"group": "of"}))
    test = {e.id: e.question for e in data.splits["test"]}
    rephrased = data.splits["test+mine"]
    assert len(rephrased) == 20
    assert all(e.question == f"So, {test[original_id(e.id, 'mine')]}" for e in rephrased)


def test_several_rephrasings_of_one_question_are_in_separate_splits(data_with_rephrased):
    rows = [rephrase(row, prefix) for row in ROWS for prefix in ("Look:", "Listen:")] + [rephrase(ROWS[0], "Hear:")]
    data = load(data_with_rephrased(rows))
    first, second = ({original_id(e.id, n): e for e in data.splits[f"test+{n}"]} for n in ("mine", "mine.2"))
    assert set(first) == set(second) == {e.id for e in data.splits["test"]}
    assert all(first[i].question != second[i].question for i in first)
    assert any("rephrasings per question" in note for note in data.notes)


def test_the_order_of_the_rows_does_not_matter(data_with_rephrased):
    rows = [rephrase(row, prefix) for row in ROWS for prefix in ("Look:", "Listen:")]
    assert load(data_with_rephrased(rows)).splits == load(data_with_rephrased(rows[::-1])).splits


def test_a_row_that_equals_its_original_is_left_out_and_counted(data_with_rephrased):
    rows = [rephrase(row) for row in ROWS]
    test = load(data_with_rephrased(rows)).splits["test"]
    plain = next(row for row in ROWS if row["question"] == test[0].question)
    data = load(data_with_rephrased([*rows, {**plain, "seed_question": plain["question"]}]))
    assert any("1 rows left out that equal" in note for note in data.notes)
    assert len(data.splits["test+mine"]) == 20


def test_a_group_shared_by_several_test_questions_cannot_be_paired(data_with_rephrased, tmp_path):
    rows = [{"of": row["id"][:2], "question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    shared = [{**row, "id": row["id"][:2]} for row in ROWS]
    data = data_with_rephrased(rows, {"group": "id"}, {"group": "of"})
    write_rows(tmp_path / "main.jsonl", shared)
    with pytest.raises(BadData, match="none of its 36 rows rephrases a test question"):
        load(data)


def test_rows_that_do_not_name_their_original_are_refused_with_how_to_name_it(data_with_rephrased):
    rows = [{"question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    with pytest.raises(BadData, match=r"data.shifted.mine: .*fields: \{group"):
        load(data_with_rephrased(rows))


def test_rows_without_any_matching_original_are_refused(data_with_rephrased):
    rows = [{**rephrase(row), "seed_question": "Something else?"} for row in ROWS]
    with pytest.raises(BadData, match="none of its 36 rows"):
        load(data_with_rephrased(rows))


@pytest.mark.parametrize("name", ["typos", "a.2", "a+b", ""])
def test_a_name_of_a_built_in_shift_or_an_invalid_name_is_refused(name):
    with pytest.raises(BadRequest, match=r"data.shifted: .*built-in preamble"):
        load(Data(shifted={name: Data()}))
