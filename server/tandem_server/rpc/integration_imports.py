"""Imports of customers: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tandem.integration.v1 import import_pb2
from tandem.integration.v1 import import_requests_pb2 as pb
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceServicer
from tandem_proto.errors import FailedPrecondition, NotFound, TandemError, Unavailable
from tandem_server.domain.csv_writing import csv_rows
from tandem_server.domain.principals import Caller
from tandem_server.rpc import pages
from tandem_server.rpc.calls import CALLER, Context, reads
from tandem_server.rpc.import_uploads import Upload, opened
from tandem_server.rpc.imports import failed_cells, failed_header, import_message, row_message
from tandem_server.storage import imports
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.imports import Key, Outcome
from tandem_server.usecases.imports import ROWS_KEPT, ImportRun, rows_are_known
from tandem_server.usecases.tasks import Tasks

FAULTS_AT_ONCE = 100
"""Rows that are wrong are read so many at a time: each may be long."""

PIECE_BYTES = 256 << 10


class ImportMethods(IntegrationServiceServicer):
    """Imports; `close` them when no call runs any more."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._tasks = Tasks()
        self._draining = False

    def drain(self) -> None:
        """End the imports that are under way, behind the chunk that each is at: their senders go on elsewhere."""
        self._draining = True

    async def close(self) -> None:
        """Let what was cut off be noted."""
        await self._tasks.close()

    async def ImportCustomers(
        self, requests: AsyncIterator[pb.ImportCustomersRequest], context: Context
    ) -> pb.ImportCustomersResponse:
        upload = await opened(requests, context)
        run = ImportRun(self.database, CALLER.get(), upload.options)
        try:
            row = await self._take(run, upload)
        except TandemError as error:
            error.metadata["import_id"] = upload.options.id
            await run.end(error, upload.received)
            raise
        except asyncio.CancelledError:
            self._tasks.spawn(run.end(None, upload.received))
            raise
        return pb.ImportCustomersResponse(result=import_message(row))

    async def _take(self, run: ImportRun, upload: Upload) -> Any:
        """Take the whole *upload* and return the import's row."""
        await run.begin(await upload.meaning(), upload.header, upload.separator)
        async for chunk in upload.chunks():
            if self._draining:
                raise Unavailable("the server stops: send the file again", reason="DRAINING", retry_after=1)
            await run.take(chunk)
        return await run.result()

    @reads
    async def GetImport(self, request: pb.GetImportRequest, tx: Transaction, caller: Caller) -> pb.GetImportResponse:
        return pb.GetImportResponse(result=import_message(await _found(tx, caller, request.id)))

    @reads
    async def ListImportRows(
        self, request: pb.ListImportRowsRequest, tx: Transaction, caller: Caller
    ) -> pb.ListImportRowsResponse:
        row = await _with_rows(tx, caller, request.id)
        wanted = [import_pb2.ImportOutcome.Name(each).removeprefix("IMPORT_OUTCOME_") for each in request.outcome]
        after, size = pages.start_number_of(request), pages.size_of(request)
        key = Key(row.source, row.id)
        found = await imports.outcomes(tx, key, wanted, after, size + 1)
        found += _not_reached(row, wanted, after, size + 1 - len(found))
        rows: list[import_pb2.ImportRow] = []
        cut = False
        while len(rows) < min(size, len(found)) and not cut:
            some = found[len(rows) : size][:FAULTS_AT_ONCE]
            rows, cut = pages.fitting([*rows, *await _rows(tx, key, some)])
        token = pages.token_after(request, str(rows[-1].row)) if len(rows) < len(found) else ""
        return pb.ListImportRowsResponse(rows=rows, next_page_token=token)

    async def GetFailedRows(
        self, request: pb.GetFailedRowsRequest, _context: Context
    ) -> AsyncIterator[pb.GetFailedRowsResponse]:
        caller, after = CALLER.get(), 0
        row = await self.database.read(lambda tx: _with_rows(tx, caller, request.id))
        content_type = "text/csv; charset=utf-8"
        lines = csv_rows([failed_header(row.header)], row.separator)
        yield pb.GetFailedRowsResponse(content_type=content_type, data=lines)
        key = Key(row.source, row.id)
        while faults := await self._faults(key, after):
            lines = csv_rows([failed_cells(row.header, fault) for fault in faults], row.separator)
            for start in range(0, len(lines), PIECE_BYTES):
                yield pb.GetFailedRowsResponse(data=lines[start : start + PIECE_BYTES])
            after = faults[-1].row_number

    async def _faults(self, key: Key, after: int) -> Sequence[Any]:
        return await self.database.read(lambda tx: imports.faults(tx, key, after=after, limit=FAULTS_AT_ONCE))


async def _rows(tx: Transaction, key: Key, found: Sequence[Outcome]) -> list[import_pb2.ImportRow]:
    wrong = [each.row for each in found if each.outcome in ("FAILED", "AMBIGUOUS")]
    faults = await imports.faults(tx, key, rows=wrong, limit=len(wrong)) if wrong else ()
    by_row = {fault.row_number: fault for fault in faults}
    return [row_message(each, by_row.get(each.row)) for each in found]


def _not_reached(row: Any, wanted: Sequence[str], after: int, limit: int) -> list[Outcome]:
    """Return the rows behind row *after* that came in an attempt which was cut off before they were committed."""
    if row.state != "RUNNING" or (wanted and "NOT_REACHED" not in wanted):
        return []
    numbers = range(max(row.next_row, after + 1), row.next_row + row.not_reached)
    return [Outcome(number, "NOT_REACHED") for number in numbers[:limit]]


async def _found(tx: Transaction, caller: Caller, import_id: str) -> Any:
    """Return one import that the caller may see. Raises NotFound."""
    rows = await imports.find(tx, import_id, caller.principal.source)
    if not rows:
        raise NotFound(f"there is no import {import_id}")
    if len(rows) > 1:
        message = f"several parties have an import {import_id}: ask with the key of one"
        raise FailedPrecondition(message, reason="SEVERAL_PARTIES")
    return rows[0]


async def _with_rows(tx: Transaction, caller: Caller, import_id: str) -> Any:
    """Return one import that the caller may see, and what became of whose rows is still known. Raises NotFound."""
    row = await _found(tx, caller, import_id)
    if not await rows_are_known(tx, row):
        message = (
            f"what became of the rows of {import_id} is not known any more: that is kept for {ROWS_KEPT.days} days"
        )
        raise NotFound(message, reason="IMPORT_ROWS_DELETED")
    return row
