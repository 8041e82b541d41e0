"""The integration service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from tandem.integration.v1 import sync_status_pb2 as status_pb
from tandem_server.domain.routing import Routes
from tandem_server.rpc.calls import CALLER, Context
from tandem_server.rpc.imports import import_message
from tandem_server.rpc.integration_events import EventMethods
from tandem_server.rpc.integration_exports import ExportMethods
from tandem_server.rpc.integration_imports import ImportMethods
from tandem_server.rpc.messages import timestamp
from tandem_server.storage.database import Database
from tandem_server.usecases.dispatch import Dispatcher
from tandem_server.usecases.housekeeping import Housekeeping
from tandem_server.usecases.sync_status import Queue, StatusBoard, SyncStatus

STATES = ("waiting", "leased", "backing_off", "dead")


class IntegrationService(EventMethods, ExportMethods, ImportMethods):
    """`tandem.integration.v1.IntegrationService`: what runs beside single calls."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        housekeeping: Housekeeping,
        routes: Routes,
        board: StatusBoard,
    ) -> None:
        EventMethods.__init__(self, database, dispatcher, housekeeping, routes)
        ImportMethods.__init__(self, database)
        self._board = board

    async def GetSyncStatus(
        self, _request: status_pb.GetSyncStatusRequest, _context: Context
    ) -> status_pb.GetSyncStatusResponse:
        status = await self._board.read(CALLER.get().principal)
        return status_pb.GetSyncStatusResponse(
            counted_at=timestamp(status.counted_at),
            orders=status_pb.OrderCounts(**{name.lower(): number for name, number in status.orders.items()}),
            queues=[_queue(erp, queue, status) for erp, queue in status.queues.items()],
            last_imports=[import_message(row) for row in status.last_imports],
        )


def _queue(erp: str, queue: Queue, status: SyncStatus) -> status_pb.ErpQueue:
    age = status.counted_at - (queue.waiting_since or status.counted_at)
    return status_pb.ErpQueue(
        erp=erp,
        **{state: queue.states[state] for state in STATES},
        oldest_waiting_seconds=int(age.total_seconds()),
        parked_events=queue.parked,
        refused_events=queue.refused,
        last_event_at=timestamp(queue.last_event_at),
    )
