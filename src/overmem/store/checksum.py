"""A checksum in our Parquet files: a page with a changed byte would be read as other numbers, or exhaust the memory.

It stands between the last page and the footer, where Parquet readers look for nothing.
"""

import mmap
import zlib
from pathlib import Path

NAME = "overmem-crc32"
"""Stands before the checksum, and is a key of the file's metadata, so that a damaged mark is no missing one."""
_MARK = NAME.encode()
_DIGITS = 8
_TAIL = 8
"""Bytes after the footer: its length and "PAR1"."""


def add(path: Path) -> None:
    """Put the CRC-32 of a Parquet file before its footer."""
    with path.open("rb+") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        footer = _footer(content)
        checksum, tail = zlib.crc32(content), content[footer:]
        file.seek(footer)
        file.write(_MARK + f"{checksum:0{_DIGITS}x}".encode() + tail)


def is_intact(path: Path) -> bool:
    """Whether a Parquet file is what its checksum says; one without, by an earlier version, counts as intact.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as bytes_:
            footer = _footer(content)
            mark = footer - len(_MARK) - _DIGITS
            if mark < 0 or content[mark : mark + len(_MARK)] != _MARK:
                return content.rfind(_MARK) < 0
            with bytes_[:mark] as before, bytes_[footer:] as after:
                checksum = zlib.crc32(after, zlib.crc32(before))
            return content[mark + len(_MARK) : footer] == f"{checksum:0{_DIGITS}x}".encode()


def _footer(content: mmap.mmap) -> int:
    """Where the footer begins; below 0 where its length is damaged."""
    return len(content) - _TAIL - int.from_bytes(content[-_TAIL : 4 - _TAIL], "little")
