"""Exports: all that a caller may see of something, in pages that are read while those before are sent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from tandem_server.domain.exports import CUSTOMERS, ORDER_LINES, ORDERS, Sheet
from tandem_server.domain.principals import Principal
from tandem_server.storage import export_pages as pages
from tandem_server.storage import exports as stored
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.export_pages import Cursor, Page
from tandem_server.storage.orders import OrderFilters
from tandem_server.usecases.identifiers import new_export_id

CHUNK_BYTES = 256 << 10
"""What is sent at once, at most."""

PAGE_BYTES = 224 << 10
"""How large a page should be, as it is written: about a chunk. The first is small, so that something comes soon."""

FIRST_ROWS, MOST_ROWS = 100, 2000

LATEST_COMMIT = timedelta(seconds=60)
"""How long a change may take from its `updated_at` until it can be read: twice what a unit of work can live."""

ReadPage = Callable[[Transaction, Cursor | None, int], Awaitable[Page]]


class Format(StrEnum):
    """How rows are written."""

    CSV = "CSV"
    NDJSON = "NDJSON"


class Subject(NamedTuple):
    """What the rows of an export are, and how a page of them is read."""

    name: str
    sheet: Sheet
    page: ReadPage


def customers(filters: CustomerFilters) -> Subject:
    """Return the customers that *filters* let through."""
    return Subject("CUSTOMERS", CUSTOMERS, lambda tx, after, limit: pages.customers_page(tx, filters, after, limit))


def orders(filters: OrderFilters) -> Subject:
    """Return the orders that *filters* let through."""
    return Subject("ORDERS", ORDERS, lambda tx, after, limit: pages.orders_page(tx, filters, after, limit))


def order_lines(filters: OrderFilters) -> Subject:
    """Return the lines of the orders that *filters* let through."""
    return Subject(
        "ORDER_LINES", ORDER_LINES, lambda tx, after, limit: pages.order_lines_page(tx, filters, after, limit)
    )


async def start(database: Database, principal: Principal, subject: Subject, form: Format) -> dict[str, Any]:
    """Keep that *principal* exports *subject*, and return what is kept.

    Whatever changes from now on, and what changed and is not committed yet, has an `updated_at` behind its watermark.
    """
    export = {
        "id": new_export_id(),
        "source": principal.source,
        "subject": subject.name,
        "format": form.value,
        "actor": principal.name,
    }

    async def unit(tx: Transaction) -> dict[str, Any]:
        now = await tx.now()
        row = export | {"started_at": now, "watermark": now - LATEST_COMMIT}
        await stored.add(tx, row)
        return row

    return await database.write(unit)


async def finish(database: Database, export: dict[str, Any], file: File) -> dict[str, Any]:
    """Keep what *export* came to, now that all of *file* is sent, and return what is kept."""

    async def unit(tx: Transaction) -> dict[str, Any]:
        made = {"finished_at": await tx.now(), "rows_sent": file.rows, "bytes_sent": file.bytes, "sha256": file.sha256}
        await stored.complete(tx, export["id"], made)
        return export | made

    return await database.write(unit)


class File:
    """The file that an export makes, as it is made; unless *raw*, no spreadsheet executes any of its cells."""

    def __init__(self, database: Database, subject: Subject, form: Format, *, raw: bool = False) -> None:
        self._database = database
        self._subject = subject
        self._form = form
        self._raw = raw
        self._limit = FIRST_ROWS
        self._digest = hashlib.sha256()
        self.rows = self.bytes = 0
        """How many there were up to now."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of what there was up to now, in hexadecimal."""
        return self._digest.hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file, piece by piece; raises what reading the database raises."""
        header = self._subject.sheet.csv_header if self._form is Format.CSV else b""
        async for page in self._pages():
            part = header + self._written(page)
            for start in range(0, len(part), CHUNK_BYTES):
                yield self._counted(part[start : start + CHUNK_BYTES])
            header = b""
        if header:
            yield self._counted(header)

    async def _pages(self) -> AsyncIterator[Page]:
        """Yield every page; the next one is read meanwhile, and none behind that."""
        reading = self._read(None)
        try:
            while True:
                page = await reading
                if page.end is not None:
                    reading = self._read(page.end)
                if page.rows:
                    yield page
                if page.end is None:
                    return
        finally:
            reading.cancel()

    def _read(self, after: Cursor | None) -> asyncio.Task[Page]:
        limit = self._limit
        return asyncio.create_task(self._database.read(lambda tx: self._subject.page(tx, after, limit)))

    def _written(self, page: Page) -> bytes:
        sheet = self._subject.sheet
        part = sheet.csv(page.stored, raw=self._raw) if self._form is Format.CSV else sheet.ndjson(page.stored)
        self._limit = min(MOST_ROWS, max(1, self._limit * PAGE_BYTES // len(part)))
        self.rows += page.rows
        return part

    def _counted(self, chunk: bytes) -> bytes:
        self._digest.update(chunk)
        self.bytes += len(chunk)
        return chunk
