"""Orders in the CRM's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from tandem.crm.v1 import order_change_requests_pb2 as change_pb
from tandem.crm.v1 import order_event_requests_pb2 as event_pb
from tandem.crm.v1 import order_requests_pb2 as order_pb
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceServicer
from tandem.crm.v1.order_pb2 import Order
from tandem_proto.errors import FieldViolation, InvalidArgument, NotFound, TandemError
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.rpc import contents, messages, pages, timeline
from tandem_server.rpc.calls import CALLER, SLOT, Context, reads, set_header, writes
from tandem_server.rpc.filters import order_filters
from tandem_server.rpc.masks import masked_fields
from tandem_server.storage import events
from tandem_server.storage import orders as stored_orders
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.orders import StoredOrder
from tandem_server.usecases import amendments, cancellations, orders
from tandem_server.usecases.grouping import Grouping

ORDER_BYTES = 1 << 20


class OrderMethods(CrmServiceServicer):
    """What the CRM does with orders; *order_waits* is called after each commit that may make one wait for its ERP."""

    def __init__(self, database: Database, routes: Routes, order_waits: Callable[[], None]) -> None:
        self.database = database
        self._routes = routes
        self.order_waits = order_waits
        self._creates = Grouping(self._create_together, lambda new: new.size)

    async def CreateOrder(self, request: order_pb.CreateOrderRequest, context: Context) -> order_pb.CreateOrderResponse:
        if SLOT.get() is not None:  # what is kept under a key has a transaction of its own
            return await self._create_alone(request, context)
        caller = CALLER.get()
        new = _told(request.order, caller)
        try:
            return _created(await self._creates.add(caller.source, new))
        except TandemError as error:
            error.within("order")
            raise

    @writes
    async def _create_alone(
        self, request: order_pb.CreateOrderRequest, tx: Transaction, caller: Caller
    ) -> order_pb.CreateOrderResponse:
        (result,) = await self._create(tx, [_told(request.order, caller)])
        if isinstance(result, TandemError):
            raise result.within("order")
        return _created(result)

    async def _create_together(self, new: Sequence[orders.NewOrder]) -> Sequence[orders.Created | TandemError]:
        return await self.database.write(lambda tx: self._create(tx, new))

    async def _create(self, tx: Transaction, new: Sequence[orders.NewOrder]) -> Sequence[orders.Created | TandemError]:
        tx.after_commit(self.order_waits)
        return await orders.create(tx, self._routes, new)

    @writes
    async def UpsertOrder(
        self, request: change_pb.UpsertOrderRequest, tx: Transaction, caller: Caller
    ) -> change_pb.UpsertOrderResponse:
        new = _told(request.order, caller)
        try:
            stored, outcome = await amendments.upsert(tx, caller, self._routes, new, request.etag)
        except TandemError as error:
            error.within("order")
            raise
        if outcome is not amendments.Outcome.UNCHANGED:
            tx.after_commit(self.order_waits)
        set_header("tandem-outcome", outcome)
        return change_pb.UpsertOrderResponse(
            order=messages.order(stored, await tx.now()),
            outcome=change_pb.UpsertOrderOutcome.Value(f"UPSERT_ORDER_OUTCOME_{outcome}"),
        )

    @writes
    async def AmendOrder(
        self, request: change_pb.AmendOrderRequest, tx: Transaction, caller: Caller
    ) -> change_pb.AmendOrderResponse:
        mask, content = masked_fields(request), _told(request.order, caller).content
        try:
            stored, outcome = await amendments.amend(tx, caller, request.id, content, mask, request.etag, _size_of)
        except TandemError as error:
            error.within("order")
            raise
        if outcome is amendments.Outcome.AMENDED:
            tx.after_commit(self.order_waits)
        return change_pb.AmendOrderResponse(order=messages.order(stored, await tx.now()))

    @writes
    async def CancelOrder(
        self, request: change_pb.CancelOrderRequest, tx: Transaction, caller: Caller
    ) -> change_pb.CancelOrderResponse:
        stored = await cancellations.cancel(tx, caller, request.id, request.reason, request.etag)
        tx.after_commit(self.order_waits)
        return change_pb.CancelOrderResponse(order=messages.order(stored, await tx.now()))

    @reads
    async def GetOrder(
        self, request: order_pb.GetOrderRequest, tx: Transaction, caller: Caller
    ) -> order_pb.GetOrderResponse:
        source = caller.principal.source
        stored = await stored_orders.find(tx, source, order_id=request.id, external_id=request.external_id)
        if stored is None:
            raise NotFound(f"there is no order {request.id or request.external_id}")
        return order_pb.GetOrderResponse(order=messages.order(stored, await tx.now()))

    async def ListOrders(self, request: order_pb.ListOrdersRequest, _context: Context) -> order_pb.ListOrdersResponse:
        """Make messages when the connection is given back: that takes as long as to read."""
        filters = order_filters(request, CALLER.get().principal)
        after_id, newest_first = pages.start_of(request), request.order_by.endswith(" desc")

        async def page(tx: Transaction) -> tuple[list[StoredOrder], bool, datetime]:
            found, more = await stored_orders.page(
                tx, filters, after_id=after_id, newest_first=newest_first, limit=pages.size_of(request)
            )
            return found, more, await tx.now()

        found, more, now = await self.database.read(page)
        token = pages.token_after(request, found[-1].order.id) if more else ""
        listed = await messages.each(lambda stored: messages.order(stored, now), found)
        return order_pb.ListOrdersResponse(orders=listed, next_page_token=token)

    @reads
    async def ListOrderEvents(
        self, request: event_pb.ListOrderEventsRequest, tx: Transaction, caller: Caller
    ) -> event_pb.ListOrderEventsResponse:
        if await stored_orders.whereabouts(tx, caller.principal.source, order_id=request.id) is None:
            raise NotFound(f"there is no order {request.id}")
        after = pages.start_number_of(request)
        rows, more = await events.page(tx, request.id, after_seq=after, limit=pages.size_of(request))
        fitting, cut = pages.fitting([timeline.event(row) for row in rows])
        token = pages.token_after(request, str(fitting[-1].seq)) if more or cut else ""
        return event_pb.ListOrderEventsResponse(events=fitting, next_page_token=token)


def _created(created: orders.Created) -> order_pb.CreateOrderResponse:
    tell_replay(created.replayed)
    return order_pb.CreateOrderResponse(order=messages.order(created.stored, created.at))


def _told(order: Order, caller: Caller) -> orders.NewOrder:
    """Return what a request of *caller* tells of an order. Raises InvalidArgument where that is too much."""
    size = order.ByteSize()
    if size > ORDER_BYTES:
        wrong = FieldViolation("order.lines", f"the order has {size} bytes, at most {ORDER_BYTES} fit")
        raise InvalidArgument(wrong.description, fields=[wrong])
    return orders.NewOrder(contents.order(order), size, caller)


def _size_of(stored: StoredOrder) -> int:
    return messages.order(stored, stored.order.updated_at).ByteSize()


def tell_replay(replayed: bool) -> None:
    """Say in the reply's headers that nothing was done, since it was done before."""
    if replayed:
        set_header("idempotent-replayed", "true")
