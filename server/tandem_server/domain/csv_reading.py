"""CSV as it arrives (RFC 4180, and what spreadsheets make of it), record by record."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from tandem_server.domain.records import BLOCK, MAX_RECORD, Record, Unreadable, UnreadableFileError

SEPARATORS = (",", ";", "\t")
NOT_CSV = "is not CSV: a quote in it is neither at the end of its cell nor doubled, or a carriage return stands alone"
QUOTED = re.compile('"[^"]*"')
EMPTY_LINES = re.compile(r"\n(?=\r?\n)(\n{16,}+|(?:\r?\n){16,}+)")


class CsvReader:
    """Takes pieces of a CSV, cut anywhere, and gives its records.

    It understands UTF-8 with or without byte order mark, LF and CRLF, quoted line ends, and each of the separators, of
    which the first line tells the one it has most of. Empty lines are no records. `separator` is set once the first
    record is there.
    """

    def __init__(self) -> None:
        self.separator = ""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._pieces: list[str] = []
        self._waiting = 0
        self._lines: list[str] = []
        self._done = 0
        self._line_ends = 0

    def feed(self, data: bytes) -> Iterator[Record]:
        """Take a piece and yield the records that are whole by now.

        Raises UnreadableFileError where it cannot be told any more what a record is.
        """
        text = self._decoded(data, final=False)
        self._pieces.append(text)
        self._waiting += len(text)
        if self._waiting >= BLOCK or (not self.separator and "\n" in text):
            yield from self._read(final=False)

    def end(self) -> Iterator[Record]:
        """Yield what is left at the end of the file; raises as `feed` does."""
        self._pieces.append(self._decoded(b"", final=True))
        yield from self._read(final=True)

    def _decoded(self, data: bytes, *, final: bool) -> str:
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            line = self._line_ends + error.object.count(b"\n", 0, error.start) + 1
            raise UnreadableFileError(f"is not UTF-8 in line {line}: save it as UTF-8") from None
        self._line_ends += text.count("\n")
        return text

    def _read(self, *, final: bool) -> Iterator[Record]:
        text = "".join(self._pieces)
        end = len(text) if final else text.rfind("\n") + 1
        self._pieces, self._waiting = [text[end:]], len(text) - end
        if len(text) > MAX_RECORD and max(map(len, text.split("\n"))) > MAX_RECORD:
            raise UnreadableFileError(f"has a line of more than {MAX_RECORD} characters behind line {self._done}")
        start = 0
        for empty in EMPTY_LINES.finditer(text, 0, end):
            yield from self._take(text[start : empty.start(1)], final=False)
            start = empty.start(1)
            if not self._lines:  # they are in no cell: a gigabyte of them takes seconds, not minutes
                start = empty.end()
                self._done += empty[1].count("\n")
        yield from self._take(text[start:end], final=final)

    def _take(self, text: str, *, final: bool) -> Iterator[Record]:
        *lines, rest = text.split("\n")
        self._lines += [f"{line}\n" for line in lines]
        if rest:
            self._lines.append(rest)
        if not self.separator:
            first = next((line for line in self._lines if not line.isspace()), "")
            self.separator = max(SEPARATORS, key=QUOTED.sub("", first).count) if first else ""
        yield from self._records(final=final)

    def _records(self, *, final: bool) -> Iterator[Record]:
        lines = iter(self._lines) if final else chain(self._lines, _more())
        reader = csv.reader(lines, delimiter=self.separator or ",", strict=True)
        done = 0
        while (record := self._next(reader, done)) is not None:
            done = reader.line_num
            if record:
                yield record
        if sum(map(len, self._lines[done:])) > MAX_RECORD:
            raise self._unclosed(done)
        self._lines = self._lines[done:]
        self._done += done

    def _next(self, reader: Any, done: int) -> Record | None:
        """Return the record behind the lines that are *done*, empty for an empty line, None if no whole one is left."""
        try:
            cells: list[str] | None = next(reader, None)
        except _MoreError:
            return None
        except csv.Error as error:
            text = "".join(self._lines[done : reader.line_num])
            if len(text) > MAX_RECORD or "unexpected end" in str(error):
                raise self._unclosed(done) from None
            return Unreadable(text.rstrip("\r\n"), NOT_CSV)
        return cells

    def _unclosed(self, done: int) -> UnreadableFileError:
        return UnreadableFileError(f"has a quote in line {self._done + done + 1} that is not closed")


class _MoreError(Exception):
    """The lines are used up, and the file is not at its end."""


def _more() -> Iterator[str]:
    raise _MoreError
    yield
