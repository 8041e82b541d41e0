"""The ERP's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.crm.v1.shipment_pb2 import Shipment
from tandem.erp.v1 import customer_requests_pb2 as customer_pb
from tandem.erp.v1 import delivery_pb2
from tandem.erp.v1 import delivery_requests_pb2 as delivery_pb
from tandem.erp.v1 import lease_requests_pb2 as lease_pb
from tandem.erp.v1 import status_update_pb2 as status_pb
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceServicer
from tandem_proto.errors import AlreadyExists, NotFound
from tandem_server.domain.money import decimal, written_quantity
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.rpc import contents, messages, pages
from tandem_server.rpc.calls import CALLER, Context, reads, writes
from tandem_server.storage import customers
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases import acknowledgements, leases, statuses
from tandem_server.usecases.deliveries import Delivery, Demand
from tandem_server.usecases.dispatch import Dispatcher, Stream

DEFAULT_BATCH = 50
DEFAULT_OUTSTANDING = 100
DEFAULT_ORDERS = 100
DEFAULT_LEASE_SECONDS = 60

REASONS = {
    acknowledgements.Outcome.STALE_LEASE: "another worker holds the order, or nobody: the lease was lost",
    acknowledgements.Outcome.DOCUMENT_CONFLICT: "the order has another document, or the document another order",
    acknowledgements.Outcome.DOCUMENT_REQUIRED: "the first acknowledgement of an order needs an erp_document",
    acknowledgements.Outcome.NOT_FOUND: "there is no such order for this ERP",
}


class ErpService(ErpServiceServicer):
    """`tandem.erp.v1.ErpService`; orders are claimed through *dispatcher* and buried after *max_failures*."""

    def __init__(self, database: Database, dispatcher: Dispatcher, routes: Routes, max_failures: int) -> None:
        self.database = database
        self._dispatcher = dispatcher
        self._routes = routes
        self._max_failures = max_failures

    async def PullOrders(
        self, request: delivery_pb.PullOrdersRequest, _context: Context
    ) -> AsyncIterator[delivery_pb.PullOrdersResponse]:
        caller = CALLER.get()
        demand = _demand(caller, request, request.batch_size or DEFAULT_BATCH)
        stream = Stream(demand, request.max_outstanding or DEFAULT_OUTSTANDING, request.until_empty)
        async with aclosing(self._dispatcher.stream(caller, stream)) as batches:
            async for batch in batches:
                for part in _parts([_delivery(delivery) for delivery in batch]):
                    yield delivery_pb.PullOrdersResponse(deliveries=part)

    async def LeaseOrders(
        self, request: delivery_pb.LeaseOrdersRequest, _context: Context
    ) -> delivery_pb.LeaseOrdersResponse:
        caller = CALLER.get()
        demand = _demand(caller, request, request.max_orders or DEFAULT_ORDERS)
        batch = await self._dispatcher.lease(caller, demand, request.wait_seconds)
        fitting, cut = pages.fitting([_delivery(delivery) for delivery in batch])
        if cut:
            self._dispatcher.give_back_unsent(caller, batch[len(fitting) :])
        return delivery_pb.LeaseOrdersResponse(deliveries=fitting)

    @writes
    async def AcknowledgeOrders(
        self, request: delivery_pb.AcknowledgeOrdersRequest, tx: Transaction, caller: Caller
    ) -> delivery_pb.AcknowledgeOrdersResponse:
        items = [
            acknowledgements.Acknowledgement(x.order_id, x.lease_token, x.erp_document, x.customer_number)
            for x in request.acknowledgements
        ]
        outcomes = await acknowledgements.acknowledge(tx, caller, items)
        tx.after_commit(self._dispatcher.make_room)
        results = [
            delivery_pb.AcknowledgementResult(
                order_id=item.order_id,
                outcome=delivery_pb.AcknowledgementOutcome.Value(f"ACKNOWLEDGEMENT_OUTCOME_{outcome}"),
                message=REASONS.get(outcome, ""),
            )
            for item, outcome in zip(items, outcomes, strict=True)
        ]
        return delivery_pb.AcknowledgeOrdersResponse(results=results)

    @writes
    async def RejectOrders(
        self, request: delivery_pb.RejectOrdersRequest, tx: Transaction, caller: Caller
    ) -> delivery_pb.RejectOrdersResponse:
        items = [
            leases.Rejection(**{name: getattr(x, name) for name in leases.Rejection._fields})
            for x in request.rejections
        ]
        outcomes = await leases.reject(tx, caller, items, max_failures=self._max_failures)
        tx.after_commit(self._dispatcher.make_room)
        tx.after_commit(self._dispatcher.wake)
        results = [
            delivery_pb.RejectionResult(
                order_id=item.order_id,
                outcome=delivery_pb.RejectionOutcome.Value(f"REJECTION_OUTCOME_{outcome}"),
            )
            for item, outcome in zip(items, outcomes, strict=True)
        ]
        return delivery_pb.RejectOrdersResponse(results=results)

    @writes
    async def ExtendLeases(
        self, request: lease_pb.ExtendLeasesRequest, tx: Transaction, caller: Caller
    ) -> lease_pb.ExtendLeasesResponse:
        held = [(x.order_id, x.lease_token) for x in request.extensions]
        extensions = await leases.extend(tx, caller, held, request.lease_seconds or DEFAULT_LEASE_SECONDS)
        results = [
            lease_pb.LeaseExtensionResult(
                order_id=order_id,
                outcome=lease_pb.LeaseExtensionOutcome.Value(f"LEASE_EXTENSION_OUTCOME_{extension.outcome}"),
                lease_expires_at=messages.timestamp(extension.expires_at),
                superseded=extension.superseded,
            )
            for (order_id, _), extension in zip(held, extensions, strict=True)
        ]
        return lease_pb.ExtendLeasesResponse(results=results)

    @writes
    async def UpdateOrderStatus(
        self, request: status_pb.UpdateOrderStatusRequest, tx: Transaction, caller: Caller
    ) -> status_pb.UpdateOrderStatusResponse:
        told = [_told(update) for update in request.updates or [request.update]]
        results = await statuses.update(tx, caller, told)
        if request.HasField("update"):
            _check_single(told[0], results[0])
        return status_pb.UpdateOrderStatusResponse(results=map(_status_result, told, results))

    @reads
    async def GetCustomer(
        self, request: customer_pb.GetCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.GetCustomerResponse:
        rows = await self._customers(tx, caller, [request.id])
        if request.id not in rows:
            raise NotFound(f"there is no customer {request.id}")
        return customer_pb.GetCustomerResponse(customer=messages.customer(rows[request.id]))

    @reads
    async def BatchGetCustomers(
        self, request: customer_pb.BatchGetCustomersRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.BatchGetCustomersResponse:
        rows = await self._customers(tx, caller, request.ids)
        found = [messages.customer(rows[each]) for each in request.ids if each in rows]
        fitting, _ = pages.fitting(found)
        return customer_pb.BatchGetCustomersResponse(
            customers=fitting,
            missing_ids=[each for each in request.ids if each not in rows],
            remaining_ids=[customer.id for customer in found[len(fitting) :]],
        )

    async def _customers(self, tx: Transaction, caller: Caller, ids: Sequence[str]) -> dict[str, Any]:
        """Return the customers among *ids* whose source the caller's ERP serves, by id."""
        erp = caller.principal.erp
        sources = self._routes.sources_of(erp) if erp else None
        rows = await customers.by_ids(tx, ids)
        return {each: row for each, row in rows.items() if sources is None or row.source in sources}


def _demand(caller: Caller, request: Any, limit: int) -> Demand:
    lease_seconds = request.lease_seconds or DEFAULT_LEASE_SECONDS
    return Demand(caller.erp, request.worker, request.worker, limit, lease_seconds)


def _delivery(delivery: Delivery) -> delivery_pb2.Delivery:
    row = delivery.stored.delivery
    return delivery_pb2.Delivery(
        order=messages.order(delivery.stored, delivery.leased_at),
        customer=messages.customer(delivery.customer),
        kind=delivery_pb2.DeliveryKind.Value(f"DELIVERY_KIND_{delivery.kind}"),
        revision=row.revision,
        acked_revision=row.acked_revision,
        attempt=row.attempts,
        lease_token=row.lease_token,
        lease_expires_at=messages.timestamp(row.lease_expires_at),
        traceparent=delivery.stored.order.traceparent,
    )


def _parts(deliveries: list[delivery_pb2.Delivery]) -> Iterator[list[delivery_pb2.Delivery]]:
    """Cut *deliveries* into messages of at most 1 MiB; an empty batch, the heartbeat, is one empty message."""
    rest = deliveries
    while True:
        fitting, cut = pages.fitting(rest)
        yield fitting
        rest = rest[len(fitting) :]
        if not cut:
            return


def _told(message: status_pb.StatusUpdate) -> statuses.StatusUpdate:
    return statuses.StatusUpdate(
        event_id=message.event_id,
        order_id=message.order_id,
        erp_document=message.erp_document,
        status=OrderStatus.Name(message.status).removeprefix("ORDER_STATUS_") if message.status else "",
        occurred_at=contents.instant(message.occurred_at),
        sequence=message.sequence,
        reason=message.reason,
        invoice_number=message.invoice_number,
        shipments=[_shipment(shipment) for shipment in message.shipments],
    )


def _shipment(message: Shipment) -> dict[str, Any]:
    return {
        "shipment_id": message.shipment_id,
        "shipped_at": message.shipped_at.ToJsonString() if message.HasField("shipped_at") else None,
        "carrier": message.carrier,
        "tracking_number": message.tracking_number,
        "tracking_url": message.tracking_url,
        "lines": [
            {"line_number": line.line_number, "quantity": written_quantity(decimal(line.quantity))}
            for line in message.lines
        ],
    }


def _check_single(told: statuses.StatusUpdate, result: statuses.Result) -> None:
    if result.outcome is statuses.Outcome.NOT_FOUND:
        raise NotFound(f"there is no order {told.order_id or told.erp_document}")
    if result.outcome is statuses.Outcome.EVENT_ID_REUSED:
        message = f"event_id {told.event_id} was told before with other content"
        raise AlreadyExists(message, reason="EVENT_ID_REUSED")


def _status_result(told: statuses.StatusUpdate, result: statuses.Result) -> status_pb.StatusUpdateResult:
    return status_pb.StatusUpdateResult(
        event_id=told.event_id,
        order_id=result.order_id,
        outcome=status_pb.StatusUpdateOutcome.Value(f"STATUS_UPDATE_OUTCOME_{result.outcome}"),
        status=OrderStatus.Value(f"ORDER_STATUS_{result.status or 'UNSPECIFIED'}"),
    )
