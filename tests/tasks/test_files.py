"""Data files in every format, and errors that name the file and row."""

import gzip
import json
from pathlib import Path

import polars
import pytest

from overmem.errors import BadData, BadRequest
from overmem.tasks import Data, load
from overmem.tasks.files import file_rows, read_rows

ROWS = [{"question": f"What is {n} and {n}?", "answer": f"It is {2 * n}.\n#### {2 * n}"} for n in range(1, 41)]


def write_rows(path: Path, rows: list[dict[str, str]] = ROWS) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps({"version": "1", "data": rows}))
        case ".csv":
            polars.DataFrame(rows).write_csv(path)
        case ".parquet":
            polars.DataFrame(rows).write_parquet(path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_every_format_gives_the_same_splits(tmp_path: Path, name: str) -> None:
    reference = load(Data(source=str(write_rows(tmp_path / "reference.jsonl"))))
    assert load(Data(source=str(write_rows(tmp_path / name)))).splits == reference.splits
    assert sum(map(len, reference.splits.values())) == 40


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROWS[0]).encode()))
    assert read_rows(path)[0].values == ROWS[0]


def test_the_files_of_a_folder_are_assigned_by_words_in_their_names(tmp_path: Path) -> None:
    write_rows(tmp_path / "gsm-train.jsonl", ROWS[:30])
    write_rows(tmp_path / "gsm_test.jsonl", ROWS[30:])
    parts = file_rows(Data(source=str(tmp_path))).parts
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 30, "test": 10}


def test_two_files_for_one_part_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("3_test.jsonl", "5_test.jsonl"):
        write_rows(tmp_path / name)
    with pytest.raises(BadRequest, match=r"two files for test \(3_test\.jsonl, 5_test\.jsonl\)"):
        load(Data(source=str(tmp_path)))


def test_a_missing_file_an_empty_folder_and_a_foreign_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no data at .*gone\.jsonl"):
        load(Data(source=str(tmp_path / "gone.jsonl")))
    with pytest.raises(BadRequest, match=r"no data file in the folder .*allowed: \.jsonl, \.json, \.csv, \.parquet"):
        load(Data(source=str(tmp_path)))
    (tmp_path / "a.xlsx").write_text("x")
    with pytest.raises(BadRequest, match="unsupported format"):
        load(Data(source=str(tmp_path / "a.xlsx")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "Half?', r"rows\.jsonl, row 2: not JSON"),
        ('{"question": "Half \\ud800?", "answer": "1"}', r"rows\.jsonl, row 2: it holds half of a character"),
        ("[1, 2]", r"rows\.jsonl, row 2: list where an object"),
        ('{"answer": "#### 3"}', r"rows\.jsonl, row 2: 'question' is missing; the row has answer"),
        ('{"question": " ", "answer": "#### 3"}', r"rows\.jsonl, row 2: the question is empty"),
        ('{"question": "How many?", "answer": ""}', r"rows\.jsonl, row 2: no answer; expected answer"),
        ('{"question": "How many?", "answer": null}', r"rows\.jsonl, row 2: no answer; expected answer"),
    ],
)
def test_a_broken_row_is_named_with_its_file_and_number(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n{line}\n{json.dumps(ROWS[1])}\n")
    with pytest.raises(BadData, match=message):
        load(Data(source=str(path)))


def test_with_drop_broken_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.jsonl", [*ROWS, {"question": "How many?", "answer": ""}])
    data = load(Data(source=str(path), drop_broken=True))
    assert sum(map(len, data.splits.values())) == 40
    assert any("1 broken rows left out, the first" in note and "row 41" in note for note in data.notes)


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.jsonl", "a.jsonl.gz"])
def test_a_file_whose_content_does_not_match_its_suffix_is_bad_data(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\xff garbage")
    with pytest.raises(BadData, match=name):
        load(Data(source=str(tmp_path / name)))


def test_a_truncated_compressed_file_is_bad_data(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"question": "2 + 3?", "answer": "5"}\n' * 99)[:-12])
    with pytest.raises(BadData, match=r"cut\.jsonl\.gz cannot be read"):
        read_rows(path)


def test_a_table_with_a_row_too_long_is_bad_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nQ?,1\nR?,2,3\n")
    with pytest.raises(BadData, match=r"a\.csv cannot be read"):
        load(Data(source=str(tmp_path / "a.csv")))


def test_test_rows_come_from_their_own_file(tmp_path: Path) -> None:
    train, test = write_rows(tmp_path / "a.jsonl", ROWS[:30]), write_rows(tmp_path / "b.csv", ROWS[30:])
    data = load(Data(source=str(train), test_source=str(test)))
    assert {e.question for e in data.splits["test"]} == {row["question"] for row in ROWS[30:]}
