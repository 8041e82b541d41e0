"""Imports: many customers at once, sent as often as it takes."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sized
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from tandem.crm.v1.customer_pb2 import Customer
from tandem.integration.v1.import_pb2 import (
    IMPORT_FORMAT_CSV,
    IMPORT_FORMAT_NDJSON,
    IMPORT_MODE_ALL_OR_NOTHING,
    IMPORT_MODE_SKIP_FAILED,
    Import,
    ImportRow,
)
from tandem.integration.v1.import_requests_pb2 import (
    GetFailedRowsRequest,
    GetImportRequest,
    ImportCustomersRequest,
    ListImportRowsRequest,
    ListImportRowsResponse,
)
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from tandem_client.caller import Caller
from tandem_client.pages import Pages
from tandem_proto.errors import Aborted, Cancelled, DeadlineExceeded, Unavailable

ATTEMPTS = 10
"""How often an import is sent at most, within about 40 s of waiting."""

PIECE_BYTES = 256 << 10
ROWS_A_MESSAGE = 500
MESSAGE_BYTES = 1 << 20

FORMATS = {".csv": IMPORT_FORMAT_CSV, ".ndjson": IMPORT_FORMAT_NDJSON, ".jsonl": IMPORT_FORMAT_NDJSON}

Sent = tuple[ImportCustomersRequest, int, int | None]
"""A message, and how much of how much is sent with it."""

Messages = Callable[[], AsyncGenerator[Sent, None]]
"""Begins to send from the start."""

Progress = Callable[[int, int | None], None]
"""Told after each message: how much is sent, in bytes of a file or in rows, and how much there is, if that is known."""


def _rows(page: ListImportRowsResponse) -> Iterable[ImportRow]:
    return page.rows


class Imports:
    """The imports of the caller's party."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = IntegrationServiceStub(caller.channel)
        self.rows = Pages(caller, self._stub.ListImportRows, ListImportRowsRequest, _rows)
        """Iterate over what became of the rows of an import; the filters are the fields of ListImportRowsRequest."""

    async def get(self, import_id: str) -> Import:
        """Return one import."""
        response = await self._caller.unary(self._stub.GetImport, GetImportRequest(id=import_id))
        return response.result

    async def failed_rows(self, import_id: str) -> AsyncIterator[bytes]:
        """Iterate over the pieces of a CSV of the rows that are FAILED or AMBIGUOUS: mend it and import it again."""
        request = GetFailedRowsRequest(id=import_id)
        async with self._caller.stream(self._stub.GetFailedRows, request) as pieces:
            async for piece in pieces:
                yield piece.data

    async def customers(
        self,
        source: str | PathLike[str] | Iterable[Customer],
        *,
        import_id: str = "",
        columns: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Import:
        """Import customers; see `Customers.import_`."""
        first = ImportCustomersRequest(
            import_id=import_id or str(uuid.uuid4()),
            columns=[f"{field}:{name}" for name, field in (columns or {}).items()],
            mode=IMPORT_MODE_ALL_OR_NOTHING if all_or_nothing else IMPORT_MODE_SKIP_FAILED,
            dry_run=dry_run,
        )
        messages = _of_file(Path(source), first) if isinstance(source, str | PathLike) else _of_rows(source, first)
        for attempt in itertools.count(1):
            try:
                async with aclosing(messages()) as sent:
                    method, requests = self._stub.ImportCustomers, _watched(sent, progress)
                    response = await self._caller.upload(method, ImportCustomersRequest, requests)
            except (Aborted, Cancelled, DeadlineExceeded, Unavailable) as error:
                if attempt == ATTEMPTS or error.reason == "IMPORT_TAKEN_OVER":
                    raise
                await asyncio.sleep(error.retry_after or min(0.1 * 2**attempt, 5))
            else:
                return response.result
        raise AssertionError


def _of_file(path: Path, first: ImportCustomersRequest) -> Messages:
    """Return what sends the file at *path*; raises ValueError for a name that does not tell its format."""
    packed = path.suffix == ".gz"
    kind = (path.with_suffix("") if packed else path).suffix
    if kind not in FORMATS:
        raise ValueError(f"{path.name}: the name must end in {' or '.join(FORMATS)}, with or without .gz")
    first.format = FORMATS[kind]

    async def messages() -> AsyncGenerator[Sent, None]:
        total = None if packed else await asyncio.to_thread(os.path.getsize, path)
        yield first, 0, total
        with gzip.open(path) if packed else path.open("rb") as file:
            sent = 0
            while data := await asyncio.to_thread(file.read, PIECE_BYTES):
                sent += len(data)
                yield ImportCustomersRequest(data=data), sent, total

    return messages


def _of_rows(rows: Iterable[Customer], first: ImportCustomersRequest) -> Messages:
    """Return what sends *rows*; raises ValueError if they can be iterated once only."""
    if iter(rows) is rows:
        raise ValueError("the rows must be such that they can be sent again, as a list is: an iterator is used up")

    async def messages() -> AsyncGenerator[Sent, None]:
        total = len(rows) if isinstance(rows, Sized) else None
        yield first, 0, total
        remaining, sent = iter(rows), 0
        while some := list(itertools.islice(remaining, ROWS_A_MESSAGE)):
            sent += len(some)
            for part in _parts(some):
                yield ImportCustomersRequest(customers=part), sent, total

    return messages


def _parts(rows: list[Customer]) -> Iterator[list[Customer]]:
    """Yield *rows* in parts that are small enough for one message."""
    size = sum(row.ByteSize() for row in rows)
    if size <= MESSAGE_BYTES or len(rows) == 1:
        yield rows
    else:
        yield from _parts(rows[: len(rows) // 2])
        yield from _parts(rows[len(rows) // 2 :])


async def _watched(messages: AsyncIterator[Sent], progress: Progress | None) -> AsyncIterator[ImportCustomersRequest]:
    async for message, sent, total in messages:
        yield message
        if progress is not None:
            progress(sent, total)
