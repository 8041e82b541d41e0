"""NDJSON as it arrives: a JSON value a line."""

from __future__ import annotations

from collections.abc import Iterator

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
            lines = bytes(self._rest) + data[:end]
            self._rest = bytearray(data[end:])
            yield from self._records(lines)
        else:
            self._rest += data
        if len(self._rest) > MAX_RECORD:
            raise self._too_long()

    def end(self) -> Iterator[Record]:
        """Yield what is left at the end of the file."""
        yield from self._records(bytes(self._rest))

    def _records(self, text: bytes) -> Iterator[Record]:
        if not self._done:
            text = text.removeprefix(MARK)
        lines = text.split(b"\n")
        if len(text) > MAX_RECORD and max(map(len, lines)) > MAX_RECORD:
            raise self._too_long()
        self._done += len(lines) - 1
        yield from map(_record, filter(bytes.strip, filter(None, lines)))  # a gigabyte of empty ones takes seconds

    def _too_long(self) -> UnreadableFileError:
        return UnreadableFileError(f"has a line of more than {MAX_RECORD} bytes behind line {self._done}")


def _record(line: bytes) -> Record:
    try:
        return [line.decode()]
    except UnicodeDecodeError:
        return Unreadable(line.decode(errors="replace"), "is not UTF-8")
