"""Deliveries in the ERP's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from tandem.crm.v1.customer_pb2 import Customer
from tandem.erp.v1 import delivery_pb2
from tandem.erp.v1 import delivery_requests_pb2 as delivery_pb
from tandem.erp.v1 import lease_requests_pb2 as lease_pb
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceServicer
from tandem_server.domain.principals import Caller
from tandem_server.rpc import messages, pages
from tandem_server.rpc.calls import CALLER, Context, writes
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases import acknowledgements, leases
from tandem_server.usecases.deliveries import Delivery, Demand
from tandem_server.usecases.dispatch import Dispatcher, Stream
from tandem_server.usecases.queues import Batch

DEFAULT_BATCH = 50
DEFAULT_OUTSTANDING = 100
DEFAULT_ORDERS = 100
DEFAULT_LEASE_SECONDS = 60


class DeliveryMethods(ErpServiceServicer):
    """Orders under lease; they are claimed through *dispatcher* and buried after *max_failures*."""

    def __init__(self, database: Database, dispatcher: Dispatcher, max_failures: int) -> None:
        self.database = database
        self._dispatcher = dispatcher
        self._max_failures = max_failures

    async def PullOrders(
        self, request: delivery_pb.PullOrdersRequest, _context: Context
    ) -> AsyncIterator[delivery_pb.PullOrdersResponse]:
        caller = CALLER.get()
        demand = _demand(caller, request, request.batch_size or DEFAULT_BATCH)
        stream = Stream(demand, request.max_outstanding or DEFAULT_OUTSTANDING, request.until_empty)
        async with aclosing(self._dispatcher.stream(caller, stream)) as batches:
            async for batch in batches:
                for part in _parts(await written(self._dispatcher, caller, batch)):
                    yield delivery_pb.PullOrdersResponse(deliveries=part)

    async def LeaseOrders(
        self, request: delivery_pb.LeaseOrdersRequest, _context: Context
    ) -> delivery_pb.LeaseOrdersResponse:
        caller = CALLER.get()
        demand = _demand(caller, request, request.max_orders or DEFAULT_ORDERS)
        batch = await self._dispatcher.lease(caller, demand, request.wait_seconds)
        fitting, cut = pages.fitting(await written(self._dispatcher, caller, batch))
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
                message=acknowledgements.REASONS.get(outcome, ""),
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


def _demand(caller: Caller, request: Any, limit: int) -> Demand:
    lease_seconds = request.lease_seconds or DEFAULT_LEASE_SECONDS
    return Demand(caller.erp, request.worker, request.worker, limit, lease_seconds)


async def written(dispatcher: Dispatcher, caller: Caller, batch: Batch) -> list[delivery_pb2.Delivery]:
    """Return *batch* as messages. Others work meanwhile; where the caller leaves in between, all of it goes back."""
    customers = {delivery.customer.id: delivery.customer for delivery in batch}
    told = {customer_id: messages.customer(row) for customer_id, row in customers.items()}
    try:
        return await messages.each(lambda delivery: _delivery(delivery, told[delivery.customer.id]), batch)
    except asyncio.CancelledError:
        dispatcher.give_back_unsent(caller, batch)
        raise


def _delivery(delivery: Delivery, customer: Customer) -> delivery_pb2.Delivery:
    row = delivery.stored.delivery
    fields: dict[str, Any] = {
        "order": messages.order_fields(delivery.stored, delivery.leased_at),
        "customer": customer,
        "kind": delivery_pb2.DeliveryKind.Value(f"DELIVERY_KIND_{delivery.kind}"),
        "revision": row.revision,
        "acked_revision": row.acked_revision,
        "attempt": row.attempts,
        "lease_token": row.lease_token,
        "lease_expires_at": messages.timestamp(row.lease_expires_at),
        "traceparent": delivery.stored.order.traceparent,
    }
    return delivery_pb2.Delivery(**fields)


def _parts(deliveries: list[delivery_pb2.Delivery]) -> Iterator[list[delivery_pb2.Delivery]]:
    """Cut *deliveries* into messages of at most 1 MiB; an empty batch, the heartbeat, is one empty message."""
    rest = deliveries
    while True:
        fitting, cut = pages.fitting(rest)
        yield fitting
        rest = rest[len(fitting) :]
        if not cut:
            return
