"""What files are made of before anybody knows what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 1 << 14
"""Bytes or characters that are read in one go: a few milliseconds' work, even if each is a row."""

MAX_RECORD = 1 << 17
"""Characters of the longest record; no valid customer is longer."""


class Unreadable(NamedTuple):
    """A record that cannot be read, though the next ones can: its text, and why."""

    text: str
    why: str


Record = list[str] | Unreadable
"""The cells of a record."""


FOREIGN = {
    b"\x1f\x8b": "is compressed by gzip, which Content-Encoding must tell",
    b"PK\x03\x04": "is a workbook or another zip archive: save it as CSV in UTF-8",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
"""What files begin with that people take for text, and what to do about it."""


class UnreadableFileError(Exception):
    """From here on a file cannot be read; the message says why, as in "has a quote that is not closed"."""


def blocks(data: bytes) -> Iterator[bytes]:
    """Yield *data* in pieces that can be read in one go."""
    return (data[start : start + BLOCK] for start in range(0, len(data), BLOCK))


def check_start(data: bytes) -> None:
    """Raise UnreadableFileError where *data*, with which a file begins, shows that it is no text in UTF-8."""
    for mark, why in FOREIGN.items():
        if data.startswith(mark):
            raise UnreadableFileError(why)
