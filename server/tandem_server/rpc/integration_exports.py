"""Exports in the integration service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from tandem.integration.v1 import export_pb2
from tandem.integration.v1 import export_requests_pb2 as pb
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceServicer
from tandem.options.v1 import format_pb2
from tandem_proto.errors import NotFound
from tandem_server.domain.principals import Caller
from tandem_server.rpc.calls import CALLER, Context, reads, set_header
from tandem_server.rpc.filters import customer_filters, order_filters
from tandem_server.rpc.messages import timestamp
from tandem_server.storage import exports as stored_exports
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases import exports
from tandem_server.usecases.exports import File, Format, Subject

Response = TypeVar("Response", pb.ExportOrdersResponse, pb.ExportOrderLinesResponse, pb.ExportCustomersResponse)


class ExportMethods(IntegrationServiceServicer):
    """What is exported, and what became of it."""

    database: Database

    async def ExportOrders(
        self, request: pb.ExportOrdersRequest, _context: Context
    ) -> AsyncIterator[pb.ExportOrdersResponse]:
        subject = exports.orders(order_filters(request, CALLER.get().principal))
        async for response in self._export(request, subject, pb.ExportOrdersResponse):
            yield response

    async def ExportOrderLines(
        self, request: pb.ExportOrderLinesRequest, _context: Context
    ) -> AsyncIterator[pb.ExportOrderLinesResponse]:
        subject = exports.order_lines(order_filters(request, CALLER.get().principal))
        async for response in self._export(request, subject, pb.ExportOrderLinesResponse):
            yield response

    async def ExportCustomers(
        self, request: pb.ExportCustomersRequest, _context: Context
    ) -> AsyncIterator[pb.ExportCustomersResponse]:
        subject = exports.customers(customer_filters(request, CALLER.get().principal))
        async for response in self._export(request, subject, pb.ExportCustomersResponse):
            yield response

    @reads
    async def GetExport(self, request: pb.GetExportRequest, tx: Transaction, caller: Caller) -> pb.GetExportResponse:
        row = await stored_exports.find(tx, caller.principal.source, request.id)
        if row is None:
            raise NotFound(f"there is no export {request.id}")
        return pb.GetExportResponse(export=_export(vars(row)))

    async def _export(
        self, request: Any, subject: Subject, response: Callable[..., Response]
    ) -> AsyncIterator[Response]:
        number = request.format or export_pb2.EXPORT_FORMAT_CSV
        form = Format(export_pb2.ExportFormat.Name(number).removeprefix("EXPORT_FORMAT_"))
        export = await exports.start(self.database, CALLER.get().principal, subject, form)
        set_header("tandem-export-id", export["id"])
        file = File(self.database, subject, form, raw=request.formulas == "raw")
        async for chunk in file.chunks():
            yield response(data=chunk, content_type=_content_type(number))
        done = await exports.finish(self.database, export, file)
        yield response(export=_export(done), content_type=_content_type(number))


def _content_type(number: int) -> str:
    """Return the content type of a file of a format, as the contract tells it."""
    value = export_pb2.ExportFormat.DESCRIPTOR.values_by_number[number]
    media_type = str(value.GetOptions().Extensions[format_pb2.media_type])
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def _export(row: Mapping[str, Any]) -> export_pb2.Export:
    return export_pb2.Export(
        id=row["id"],
        subject=export_pb2.ExportSubject.Value(f"EXPORT_SUBJECT_{row['subject']}"),
        format=export_pb2.ExportFormat.Value(f"EXPORT_FORMAT_{row['format']}"),
        complete=row.get("finished_at") is not None,
        rows=row.get("rows_sent") or 0,
        bytes=row.get("bytes_sent") or 0,
        sha256=row.get("sha256") or "",
        watermark=timestamp(row["watermark"]),
        started_at=timestamp(row["started_at"]),
        finished_at=timestamp(row.get("finished_at")),
    )
