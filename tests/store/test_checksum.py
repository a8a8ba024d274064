"""Tables with a changed byte: none is read, whichever byte it is; tables without a checksum are."""

import random

import polars as pl
import pytest

from overmem.errors import BadRequest
from overmem.store import checksum
from overmem.store.files import frame_note, read_frame, write_frame

FRAME = pl.DataFrame({"example": ["a", "b", "c"], "nll": [0.5, 1.25, 3.0], "tokens": [[1.0, 2.0], [3.0], [4.0]]})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.parquet"
    write_frame(path, FRAME, checkpoint="checkpoint-3")
    return path


def test_a_table_with_a_checksum_is_read_by_other_readers_too(table):
    assert read_frame(table, "hint").equals(FRAME)
    assert pl.read_parquet(table).equals(FRAME)
    assert pl.scan_parquet(table).select("nll").collect()["nll"].to_list() == [0.5, 1.25, 3.0]
    assert frame_note(table)["checkpoint"] == "checkpoint-3"


def test_no_table_with_a_changed_byte_is_read(table):
    content = table.read_bytes()
    for place in range(len(content)):
        table.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(BadRequest, match="damaged; audit it again"):
            read_frame(table, "audit it again")


def test_no_table_that_was_cut_or_extended_is_read(table):
    content, draw = table.read_bytes(), random.Random("cuts")
    for _ in range(200):
        place, piece = draw.randrange(len(content)), draw.randbytes(draw.choice((1, 40)))
        for damaged in (content[:place], content[:place] + piece + content[place:], content + piece):
            table.write_bytes(damaged)
            assert frame_note(table) is None


def test_a_table_of_an_earlier_version_has_no_checksum_and_is_read(tmp_path):
    path = tmp_path / "old.parquet"
    FRAME.write_parquet(path, metadata={"overmem": '{"schema": 2}'})
    assert checksum.is_intact(path)
    assert read_frame(path, "hint").equals(FRAME)
    checksum.add(path)
    assert checksum.is_intact(path)
    assert read_frame(path, "hint").equals(FRAME)
