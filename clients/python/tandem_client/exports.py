"""Exports into files, which are whole or not there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Generic, ParamSpec, Protocol, TypeVar

import grpc

from tandem.integration.v1.export_pb2 import Export
from tandem.integration.v1.export_requests_pb2 import (
    ExportCustomersRequest,
    ExportOrderLinesRequest,
    ExportOrdersRequest,
    GetExportRequest,
)
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from tandem_client.caller import Caller
from tandem_proto.errors import DataLoss


class Part(Protocol):
    """A message of an export's stream."""

    data: bytes

    @property
    def export(self) -> Export:
        """What became of the export; only the last message has it."""


Filters = ParamSpec("Filters")
Req = TypeVar("Req")
Res = TypeVar("Res", bound=Part)


class Download(Generic[Filters, Req, Res]):
    """An export method: called with a path and the fields of its request, it fills the file and returns the export."""

    def __init__(
        self,
        caller: Caller,
        method: grpc.aio.UnaryStreamMultiCallable[Req, Res],
        request: Callable[Filters, Req],
    ) -> None:
        self._caller = caller
        self._method = method
        self._request = request

    async def __call__(self, path: str | Path, /, *args: Filters.args, **filters: Filters.kwargs) -> Export:
        """Export what passes the *filters* into the file at *path*, which is replaced once all of it is there.

        `watermark` of the result is what the next export takes as `updated_after`. Raises DataLoss where the file
        arrived cut or damaged; then, as with every failure, the file that was there before is still there.
        """
        with _replaced(Path(path)) as file:
            export, digest = Export(), hashlib.sha256()
            async with self._caller.stream(self._method, self._request(*args, **filters)) as parts:
                async for part in parts:
                    digest.update(part.data)
                    await asyncio.to_thread(file.write, part.data)
                    export = part.export
            if not export.complete:
                raise DataLoss("the export ended before its end: export again", reason="EXPORT_CUT")
            if digest.hexdigest() != export.sha256:
                raise DataLoss("the export is not what was sent: export again", reason="EXPORT_DAMAGED")
        return export


class Exports:
    """What the caller may see, as files: CSV, or NDJSON by `format=ExportFormat.EXPORT_FORMAT_NDJSON`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = IntegrationServiceStub(caller.channel)
        self.orders = Download(caller, self._stub.ExportOrders, ExportOrdersRequest)
        """Export orders; the filters are the fields of ExportOrdersRequest."""
        self.order_lines = Download(caller, self._stub.ExportOrderLines, ExportOrderLinesRequest)
        """Export the lines of orders; the filters are the fields of ExportOrderLinesRequest."""
        self.customers = Download(caller, self._stub.ExportCustomers, ExportCustomersRequest)
        """Export customers; the filters are the fields of ExportCustomersRequest."""

    async def get(self, export_id: str) -> Export:
        """Return what became of an export."""
        response = await self._caller.unary(self._stub.GetExport, GetExportRequest(id=export_id))
        return response.export


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of *path* if all goes well, and is gone if not."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
