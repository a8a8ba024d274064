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


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def retold(row, words="Her things:"):
    return {"question": f"{words} {row['question']}", "answer": row["answer"], "seed_question": row["question"]}


@pytest.fixture
def asked(tmp_path):
    """Data with a shifted set named `told` of these rows."""

    def make(rows, fields=None, told_fields=None):
        main, rephrased = written(tmp_path / "main.jsonl", ROWS), written(tmp_path / "told.jsonl", rows)
        shifted = {"told": Data(rephrased, fields=told_fields or {})}
        return Data(main, train=0, val=0, test=20, fields=fields or {}, shifted=shifted)

    return make


def test_rows_are_paired_with_their_originals_by_the_original_question(asked):
    data = load(asked([retold(row) for row in ROWS]))
    test = {e.id: e for e in data.splits["test"]}
    rephrased = data.splits["test+told"]
    assert [original_id(e.id, "told") for e in rephrased] == list(test)
    for e in rephrased:
        original = test[original_id(e.id, "told")]
        assert e.question == f"Her things: {original.question}"
        assert e.answer == original.answer
    assert "test+told: 20 of 20 test questions are rephrased, by 36 rows" in data.notes
    assert "test+told: 16 rows left out whose original is not among the test questions" in data.notes


def test_rows_are_paired_by_an_id_column_that_both_files_have(asked):
    rows = [{"of": row["id"], "question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    data = load(asked(rows, {"group": "id"}, {"group": "of"}))
    test = {e.id: e.question for e in data.splits["test"]}
    rephrased = data.splits["test+told"]
    assert len(rephrased) == 20
    assert all(e.question == f"So, {test[original_id(e.id, 'told')]}" for e in rephrased)


def test_several_rephrasings_of_one_question_have_splits_of_their_own(asked):
    rows = [retold(row, words) for row in ROWS for words in ("Look:", "Listen:")] + [retold(ROWS[0], "Hear:")]
    data = load(asked(rows))
    first, second = ({original_id(e.id, n): e for e in data.splits[f"test+{n}"]} for n in ("told", "told.2"))
    assert set(first) == set(second) == {e.id for e in data.splits["test"]}
    assert all(first[i].question != second[i].question for i in first)
    assert any("rephrasings per question" in note for note in data.notes)


def test_the_order_of_the_rows_does_not_matter(asked):
    rows = [retold(row, words) for row in ROWS for words in ("Look:", "Listen:")]
    assert load(asked(rows)).splits == load(asked(rows[::-1])).splits


def test_a_row_that_says_the_same_as_its_original_is_left_out_and_counted(asked):
    rows = [retold(row) for row in ROWS]
    test = load(asked(rows)).splits["test"]
    plain = next(row for row in ROWS if row["question"] == test[0].question)
    data = load(asked([*rows, {**plain, "seed_question": plain["question"]}]))
    assert any("1 rows left out that equal" in note for note in data.notes)
    assert len(data.splits["test+told"]) == 20


def test_a_group_that_several_test_questions_share_is_no_pairing(asked, tmp_path):
    rows = [{"of": row["id"][:2], "question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    shared = [{**row, "id": row["id"][:2]} for row in ROWS]
    data = asked(rows, {"group": "id"}, {"group": "of"})
    written(tmp_path / "main.jsonl", shared)
    with pytest.raises(BadData, match="none of its 36 rows rephrases a test question"):
        load(data)


def test_rows_that_do_not_name_their_original_are_refused_with_the_way_to_name_it(asked):
    rows = [{"question": f"So, {row['question']}", "answer": row["answer"]} for row in ROWS]
    with pytest.raises(BadData, match=r"data.shifted.told: .*fields: \{group"):
        load(asked(rows))


def test_rows_none_of_whose_originals_is_there_are_refused(asked):
    rows = [{**retold(row), "seed_question": "Something else?"} for row in ROWS]
    with pytest.raises(BadData, match="none of its 36 rows"):
        load(asked(rows))


@pytest.mark.parametrize("name", ["typos", "a.2", "a+b", ""])
def test_a_name_that_is_taken_or_would_not_be_a_splits_is_refused(name):
    with pytest.raises(BadRequest, match=r"data.shifted: .*built-in preamble"):
        load(Data(shifted={name: Data()}))
