"""What an importer sends: options first, then records, which make chunks."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import orjson

from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem_proto.errors import DeadlineExceeded, FieldViolation, InvalidArgument
from tandem_proto.lists import most_items, too_many
from tandem_server.domain.imports import CHUNK_BYTES, CHUNK_ROWS, Chunk, Options, Row
from tandem_server.domain.records import UnreadableFileError, check_start
from tandem_server.rpc.calls import Context, whole
from tandem_server.rpc.import_formats import Format, format_of
from tandem_server.rpc.validation import validate
from tandem_server.usecases.identifiers import new_import_id

ROWS_AT_ONCE = 10
"""Rows that are made in one go, for which all else waits: a third of a millisecond's work where most are right."""

LONG = 0.003
"""Seconds after which the next row is made alone."""

IDLE_SECONDS = 60.0
"""How long the next message may take."""

Requests = AsyncIterator[ImportCustomersRequest]

MODES = {0: "SKIP_FAILED", 1: "SKIP_FAILED", 2: "ALL_OR_NOTHING"}


class Upload:
    """One upload: its options, all that gives its rows their meaning, and its rows in chunks.

    Whatever reads raises DeadlineExceeded where nothing comes for a minute, and InvalidArgument for what cannot be
    read. `received` counts the rows that came.
    """

    def __init__(self, requests: Requests, first: ImportCustomersRequest) -> None:
        _check_rows(first)
        told = ImportCustomersRequest()
        told.CopyFrom(first)
        del told.customers[:]
        validate(told)
        self.options = Options(told.import_id or new_import_id(), MODES[told.mode], told.dry_run)
        self.received = 0
        self._told = told
        self._format = format_of(told.format, told.columns)
        self._batches = _batches(self._format, requests, first)
        self._early: Iterator[Any] = iter(())

    @property
    def header(self) -> Sequence[str]:
        """The cells above the rows; of JSON one."""
        return self._format.header

    @property
    def separator(self) -> str:
        """What stands between cells."""
        return self._format.separator

    async def meaning(self) -> str:
        """Return the digest of all that gives rows their meaning, after reading up to the header."""
        with _readable():
            while not self._format.header:
                records = await anext(self._batches, None)
                if records is None:
                    raise UnreadableFileError("is empty: it has no header")
                self._early = chain(list(_first_of(records)), records)
        told = self._told
        how = [told.format, list(told.columns), self.options.mode, told.dry_run]
        return hashlib.sha256(orjson.dumps([*how, self.separator, list(self.header)])).hexdigest()

    async def chunks(self) -> AsyncIterator[Chunk]:
        """Yield all rows in chunks, the last one marked; it may be empty."""
        forming = _Forming(self._format, first=1)
        with _readable():
            async for records in _after(self._early, self._batches):
                for record in records:
                    self.received += 1
                    forming.add(record)
                    if forming.full:
                        yield forming.chunk(last=False)
                        await asyncio.sleep(0)  # who takes it may not wait for anything
                        forming = _Forming(self._format, first=self.received + 1)
            yield forming.chunk(last=True)


class _Forming:
    """A chunk that is not whole yet."""

    def __init__(self, how: Format, first: int) -> None:
        self._format = how
        self._first = first
        self._records: list[Any] = []
        self._hash = hashlib.sha256()
        self._size = 0

    @property
    def full(self) -> bool:
        return len(self._records) == CHUNK_ROWS or self._size >= CHUNK_BYTES

    def add(self, record: Any) -> None:
        packed = self._format.packed(record)
        self._hash.update(b"%d:" % len(packed))
        self._hash.update(packed)
        self._size += len(packed)
        self._records.append(record)

    def chunk(self, *, last: bool) -> Chunk:
        records, how = self._records, self._format
        return Chunk(
            first=self._first,
            count=len(records),
            size=self._size,
            digest=self._hash.digest(),
            last=last,
            rows=lambda: _rows(how, records),
            original=lambda place: how.original(records[place]),
        )


async def opened(requests: Requests, context: Context) -> Upload:
    """Return the upload that *requests* are, after its first message; raises as it does."""
    requests = whole(aiter(requests), context)
    return Upload(requests, await _next(requests) or ImportCustomersRequest())


async def _batches(how: Format, requests: Requests, first: ImportCustomersRequest) -> AsyncIterator[Iterator[Any]]:
    request: ImportCustomersRequest | None = first
    begun = False
    while request is not None:
        if request.data and not begun:
            check_start(request.data)
            begun = True
        for records in how.feed(request):
            yield records
            await asyncio.sleep(0)  # others have their turn
        request = await _next(requests)
        if request is not None:
            _check_rows(request)
            _check_further(request, how.field)
    yield how.end()


async def _rows(how: Format, records: Sequence[Any]) -> list[Row]:
    """Return the rows that *records* are; others have their turn meanwhile, as the writing of the chunk before has."""
    rows: list[Row] = []
    step = ROWS_AT_ONCE
    while len(rows) < len(records):
        began = time.perf_counter()
        rows += how.rows(records[len(rows) : len(rows) + step])
        step = min(2 * step, ROWS_AT_ONCE) if time.perf_counter() - began < LONG else 1
        await asyncio.sleep(0)  # a reply that came meanwhile wakes who waits for it,
        await asyncio.sleep(0)  # and who was woken goes on before us
    return rows


async def _next(requests: Requests) -> ImportCustomersRequest | None:
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            return await anext(requests, None)
    except TimeoutError:
        raise DeadlineExceeded(f"nothing came for {IDLE_SECONDS:g} s", reason="IDLE") from None


def _check_rows(request: ImportCustomersRequest) -> None:
    field = request.DESCRIPTOR.fields_by_name["customers"]
    if len(request.customers) > most_items(field):
        wrong = FieldViolation(field.name, too_many(field))
        raise InvalidArgument(f"{wrong.field} {wrong.description}", reason="INVALID_FIELDS", fields=[wrong])


def _check_further(request: ImportCustomersRequest, field: str) -> None:
    told = [name.name for name, _ in request.ListFields() if name.name != field]
    if told:
        wrong = [FieldViolation(name, f"cannot be in a message behind the first: that holds {field}") for name in told]
        raise InvalidArgument(f"messages behind the first hold {field} and nothing else", fields=wrong)


async def _after(early: Iterator[Any], batches: AsyncIterator[Iterator[Any]]) -> AsyncIterator[Iterator[Any]]:
    yield early
    async for records in batches:
        yield records


def _first_of(records: Iterator[Any]) -> Iterator[Any]:
    for record in records:
        yield record
        return


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except UnreadableFileError as error:
        wrong = FieldViolation("data", str(error))
        raise InvalidArgument(f"the file {error}", reason="UNREADABLE_FILE", fields=[wrong]) from None
