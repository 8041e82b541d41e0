"""Events of ERPs in the integration service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tandem.integration.v1 import erp_event_pb2 as event_pb
from tandem.integration.v1 import erp_event_requests_pb2 as request_pb
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceServicer
from tandem_proto.errors import Aborted, AlreadyExists, TandemError, Unavailable
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.rpc import contents, erp_event_bodies, pages
from tandem_server.rpc.calls import CALLER, Context, reads, writes
from tandem_server.rpc.messages import timestamp
from tandem_server.storage import erp_events as stored_events
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.erp_events import EventFilters
from tandem_server.usecases import erp_events
from tandem_server.usecases.dispatch import Dispatcher
from tandem_server.usecases.erp_events import Event, Outcome, Result
from tandem_server.usecases.grouping import Grouping
from tandem_server.usecases.housekeeping import Housekeeping
from tandem_server.usecases.statuses import StatusUpdate

REPLAYED_AT_ONCE = 100
"""Events that one call, which is one transaction, replays at most."""


class EventMethods(IntegrationServiceServicer):
    """What ERPs tell by webhook. Events of one ERP that come at the same time share a transaction."""

    def __init__(self, database: Database, dispatcher: Dispatcher, housekeeping: Housekeeping, routes: Routes) -> None:
        self.database = database
        self._dispatcher = dispatcher
        self._housekeeping = housekeeping
        self._routes = routes
        self._received = Grouping(self._receive_together, lambda event: len(event.body))

    async def ReceiveErpEvent(
        self, request: request_pb.ReceiveErpEventRequest, _context: Context
    ) -> request_pb.ReceiveErpEventResponse:
        event = erp_event_bodies.event(CALLER.get(), request.webhook_id, request.body)
        result = await self._received.add(event.caller.erp, event)
        return request_pb.ReceiveErpEventResponse(
            outcome=_outcome(result.outcome), code=result.code, reason=result.reason
        )

    async def _receive_together(self, events: Sequence[Event]) -> Sequence[Result | TandemError]:
        async def unit(tx: Transaction) -> Sequence[Result | TandemError]:
            results = await erp_events.receive(tx, self._routes, events)
            self._follow_up(tx, events, results)
            return results

        try:
            return await self.database.write(unit)
        except (Aborted, AlreadyExists) as error:  # to the sender of a webhook, a conflict is that of its own event
            raise Unavailable(str(error), reason=error.reason, retry_after=1) from error

    @reads
    async def ListErpEvents(
        self, request: request_pb.ListErpEventsRequest, tx: Transaction, caller: Caller
    ) -> request_pb.ListErpEventsResponse:
        rows, more = await stored_events.page(
            tx,
            self._filters(request, caller),
            after_id=pages.start_of(request),
            newest_first=request.order_by.endswith(" desc"),
            limit=pages.size_of(request),
        )
        token = pages.token_after(request, rows[-1].id) if more else ""
        return request_pb.ListErpEventsResponse(events=map(_event, rows), next_page_token=token)

    @writes
    async def ReplayErpEvents(
        self, request: request_pb.ReplayErpEventsRequest, tx: Transaction, caller: Caller
    ) -> request_pb.ReplayErpEventsResponse:
        if request.ids:
            results = []
            for each in request.ids:  # bodies of a hundred events are not held at once
                found = await stored_events.by_ids(tx, self._erp(caller), [each])
                results.append(await self._replay(tx, caller, each, found.get(each)))
            return request_pb.ReplayErpEventsResponse(results=results)
        rows, more = await stored_events.page(
            tx,
            self._filters(request, caller),
            after_id=pages.start_of(request),
            newest_first=False,
            limit=request.page_size or REPLAYED_AT_ONCE,
        )
        results = [await self._replay(tx, caller, row.id, row) for row in rows]
        token = pages.token_after(request, rows[-1].id) if more else ""
        return request_pb.ReplayErpEventsResponse(results=results, next_page_token=token)

    async def _replay(self, tx: Transaction, caller: Caller, event_id: str, row: Any) -> request_pb.ErpEventReplay:
        if row is None:
            return _replayed(event_id, "NOT_FOUND", {})
        if row.outcome in erp_events.SETTLED:
            return _replayed(event_id, "SETTLED", {"outcome": row.outcome})
        as_its_erp = replace(caller, principal=replace(caller.principal, erp=row.erp))
        event = erp_event_bodies.event(as_its_erp, row.event_id, row.body)
        result = await erp_events.replay(tx, self._routes, row, event)
        self._follow_up(tx, [event], [result])
        return _replayed(event_id, "REPLAYED", result._asdict())

    def _follow_up(self, tx: Transaction, events: Sequence[Event], results: Sequence[Result | TandemError]) -> None:
        """After the commit: whoever waits for an acknowledgement may go on, and what is parked is looked for again."""
        tx.after_commit(self._dispatcher.make_room)
        for event, result in zip(events, results, strict=True):
            parked = isinstance(result, Result) and result.outcome is Outcome.PARKED
            if parked and isinstance(event.action, StatusUpdate):
                settle = partial(self._housekeeping.settle, event.caller, [event.action.erp_document])
                tx.after_commit(settle)

    def _filters(
        self, request: request_pb.ListErpEventsRequest | request_pb.ReplayErpEventsRequest, caller: Caller
    ) -> EventFilters:
        filters = EventFilters(
            erp=self._erp(caller),
            outcomes=erp_events.OPEN,
            type=request.type,
            after=contents.instant_of(request, "received_after"),
            before=contents.instant_of(request, "received_before"),
        )
        if isinstance(request, request_pb.ReplayErpEventsRequest):
            return filters
        outcomes = [event_pb.ErpEventOutcome.Name(each).removeprefix("ERP_EVENT_OUTCOME_") for each in request.outcome]
        return filters._replace(outcomes=outcomes, event_id=request.event_id, order_id=request.order_id)

    def _erp(self, caller: Caller) -> str | None:
        """Return the ERP whose events *caller* sees, None for all: its own, or the one its orders go to."""
        principal = caller.principal
        if principal.erp is not None or principal.source is None:
            return principal.erp
        return self._routes.erp_of(principal.source) or ""


def _outcome(outcome: str) -> event_pb.ErpEventOutcome.ValueType:
    return event_pb.ErpEventOutcome.Value(f"ERP_EVENT_OUTCOME_{outcome}")


def _event(row: Any) -> event_pb.ErpEvent:
    return event_pb.ErpEvent(
        **{name: getattr(row, name) for name in ("id", "erp", "event_id", "type", "code", "reason")},
        occurred_at=timestamp(row.occurred_at),
        received_at=timestamp(row.received_at),
        outcome=_outcome(row.outcome),
        order_id=row.order_id,
        customer_id=row.customer_id,
        body=row.body.decode(),
    )


def _replayed(event_id: str, outcome: str, result: Mapping[str, str]) -> request_pb.ErpEventReplay:
    return request_pb.ErpEventReplay(
        id=event_id,
        outcome=request_pb.ErpEventReplayOutcome.Value(f"ERP_EVENT_REPLAY_OUTCOME_{outcome}"),
        event_outcome=_outcome(result.get("outcome", "UNSPECIFIED")),
        code=result.get("code", ""),
        reason=result.get("reason", ""),
    )
