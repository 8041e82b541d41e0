"""NDJSON as it arrives: a JSON value a line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from tandem_server.domain.records import MAX_RECORD, Record, Unreadable, UnreadableFileError

MARK = b"\xef\xbb\xbf"
"""A byte order mark, which some write before UTF-8."""


class NdjsonReader:
    """Takes pieces of NDJSON, cut anywhere, and gives each line as a record of one cell. Empty lines are no records."""

    separator = ""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._done = 0

    def feed(self, data: bytes) -> Iterator[Record]:
        """Take a piece and yield the lines that are whole by now; raises UnreadableFileError for one too long."""
        end = data.rfind(b"\n") + 1
        if end:
            lines = (bytes(self._rest) + data[: end - 1]).split(b"\n")
            self._rest = bytearray(data[end:])
            yield from chain.from_iterable(map(self._record, lines))
        else:
            self._rest += data
        if len(self._rest) > MAX_RECORD:
            raise self._too_long()

    def end(self) -> Iterator[Record]:
        """Yield what is left at the end of the file."""
        yield from self._record(bytes(self._rest))

    def _record(self, line: bytes) -> Iterator[Record]:
        if not self._done:
            line = line.removeprefix(MARK)
        if len(line) > MAX_RECORD:
            raise self._too_long()
        self._done += 1
        if not line.strip():
            return
        try:
            yield [line.decode()]
        except UnicodeDecodeError:
            yield Unreadable(line.decode(errors="replace"), "is not UTF-8")

    def _too_long(self) -> UnreadableFileError:
        return UnreadableFileError(f"has a line of more than {MAX_RECORD} bytes behind line {self._done}")
