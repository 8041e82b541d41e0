"""Calls over gRPC with the keys of one party, and what came of them as plain values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import grpc
from conftest import Party, change_database
from retail import a_customer, an_order

from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.customer_requests_pb2 import UpsertCustomerRequest
from tandem.crm.v1.order_change_requests_pb2 import (
    AmendOrderRequest,
    CancelOrderRequest,
    UpsertOrderOutcome,
    UpsertOrderRequest,
)
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import DeliveryState, OrderStatus
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, GetOrderRequest
from tandem.erp.v1.dead_letter_pb2 import ReplayOrdersRequest, ReplayOutcome
from tandem.erp.v1.delivery_pb2 import DeliveryKind
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementOutcome,
    AcknowledgeOrdersRequest,
    LeaseOrdersRequest,
    Rejection,
    RejectionOutcome,
    RejectOrdersRequest,
)
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem.erp.v1.lease_requests_pb2 import ExtendLeasesRequest, LeaseExtension, LeaseExtensionOutcome
from tandem.erp.v1.status_update_pb2 import StatusUpdate, StatusUpdateOutcome, UpdateOrderStatusRequest
from tandem_proto.status import METADATA_KEY, from_status

from .books import Lease, Told

LEASE_SECONDS = 600
PAUSE_SECONDS = 3600


class Seen(NamedTuple):
    """What an order shows of where it stands."""

    status: str
    revision: int
    state: str
    attempts: int
    document: str
    invoices: tuple[str, ...]
    cancel_requested: bool


def short(enum: Any, number: int) -> str:
    """Return a value's name without that of its enum."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper()
    return str(enum.Name(number)).removeprefix(f"{prefix}_")


def order_of(external_id: str, note: str) -> Order:
    order = an_order(external_id, lines=1)
    order.note = note
    return order


class Wire:
    """A CRM and its ERP."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self.channel = grpc.insecure_channel(party.stack.grpc)
        channel: Any = self.channel  # the stubs' types know only asyncio's channels
        self._crm: Any = CrmServiceStub(channel)
        self._erp: Any = ErpServiceStub(channel)
        self._as_crm = (("authorization", f"Bearer {party.crm_key}"),)
        self._as_erp = (("authorization", f"Bearer {party.erp_key}"),)
        self._crm.UpsertCustomer(UpsertCustomerRequest(customer=a_customer()), metadata=self._as_crm)

    def _try(self, method: Any, request: Any) -> tuple[str, Any]:
        """Return "OK" and the reply, or the reason of the failure and None."""
        try:
            return "OK", method(request, metadata=self._as_crm)
        except grpc.RpcError as error:
            failure: Any = error
            details = dict(failure.trailing_metadata()).get(METADATA_KEY)
            return from_status(failure.code().name, failure.details(), details).reason, None

    def create(self, external_id: str, note: str) -> tuple[str, str]:
        """Return what became of a create, and the order's id."""
        outcome, reply = self._try(self._crm.CreateOrder, CreateOrderRequest(order=order_of(external_id, note)))
        return outcome, reply.order.id if reply else ""

    def upsert(self, external_id: str, note: str) -> tuple[str, str]:
        outcome, reply = self._try(self._crm.UpsertOrder, UpsertOrderRequest(order=order_of(external_id, note)))
        return (short(UpsertOrderOutcome, reply.outcome), reply.order.id) if reply else (outcome, "")

    def amend(self, order_id: str, note: str) -> tuple[str, int]:
        """Return what became of it, and the order's revision after it."""
        outcome, reply = self._try(self._crm.AmendOrder, AmendOrderRequest(id=order_id, order=Order(note=note)))
        return outcome, reply.order.revision if reply else 0

    def cancel(self, order_id: str) -> str:
        return self._try(self._crm.CancelOrder, CancelOrderRequest(id=order_id, reason="no more need"))[0]

    def look(self, ids: Iterable[str]) -> dict[str, Seen]:
        calls = [self._crm.GetOrder.future(GetOrderRequest(id=each), metadata=self._as_crm) for each in ids]
        return {order.id: seen(order) for order in (call.result().order for call in calls)}

    def lease(self, limit: int) -> tuple[str, list[Lease]]:
        """Return the token of a claim and what was claimed."""
        request = LeaseOrdersRequest(worker="model", max_orders=limit, lease_seconds=LEASE_SECONDS)
        deliveries = self._erp.LeaseOrders(request, metadata=self._as_erp).deliveries
        assert len({delivery.lease_token for delivery in deliveries}) <= 1
        return (deliveries[0].lease_token if deliveries else ""), [
            Lease(d.order.id, short(DeliveryKind, d.kind), d.revision, d.acked_revision, d.attempt, d.order.note)
            for d in deliveries
        ]

    def acknowledge(self, items: Sequence[tuple[str, str, str]]) -> list[str]:
        """Acknowledge (order id, token, document)."""
        acks = [Acknowledgement(order_id=each, lease_token=token, erp_document=doc) for each, token, doc in items]
        reply = self._erp.AcknowledgeOrders(AcknowledgeOrdersRequest(acknowledgements=acks), metadata=self._as_erp)
        return [short(AcknowledgementOutcome, result.outcome) for result in reply.results]

    def reject(
        self, order_id: str, token: str, *, permanent: bool = False, release: bool = False, paused: bool = False
    ) -> str:
        rejection = Rejection(
            order_id=order_id,
            lease_token=token,
            code="NO_STOCK",
            reason="none left",
            permanent=permanent,
            release=release,
            retry_after_seconds=PAUSE_SECONDS if paused else 0,
        )
        reply = self._erp.RejectOrders(RejectOrdersRequest(rejections=[rejection]), metadata=self._as_erp)
        return short(RejectionOutcome, reply.results[0].outcome)

    def extend(self, order_id: str, token: str) -> tuple[str, bool]:
        extensions = [LeaseExtension(order_id=order_id, lease_token=token)]
        request = ExtendLeasesRequest(extensions=extensions, lease_seconds=LEASE_SECONDS)
        (result,) = self._erp.ExtendLeases(request, metadata=self._as_erp).results
        return short(LeaseExtensionOutcome, result.outcome), result.superseded

    def replay(self, order_id: str) -> str:
        reply = self._erp.ReplayOrders(ReplayOrdersRequest(order_ids=[order_id]), metadata=self._as_erp)
        return short(ReplayOutcome, reply.results[0].outcome)

    def tell(self, updates: Sequence[tuple[str, Told]]) -> list[tuple[str, str, str, bool]]:
        """Tell (event id, update), and return outcomes, orders, their statuses, and whether each is parked."""
        messages = [status_update(event_id, told) for event_id, told in updates]
        reply = self._erp.UpdateOrderStatus(UpdateOrderStatusRequest(updates=messages), metadata=self._as_erp)
        return [
            (short(StatusUpdateOutcome, x.outcome), x.order_id, short(OrderStatus, x.status), x.parked)
            for x in reply.results
        ]

    def set(self, values: str, condition: str) -> None:
        """Change this party's deliveries behind the server's back: it is time that passes, or a new start."""
        change_database(
            self.party.stack, f"UPDATE deliveries SET {values} WHERE erp = '{self.party.erp}' AND {condition}"
        )


def seen(order: Order) -> Seen:
    return Seen(
        status=short(OrderStatus, order.status),
        revision=order.revision,
        state=short(DeliveryState, order.delivery.state),
        attempts=order.delivery.attempts,
        document=order.erp_document,
        invoices=tuple(order.invoice_numbers),
        cancel_requested=order.HasField("cancel_requested_at"),
    )


def status_update(event_id: str, told: Told) -> StatusUpdate:
    update = StatusUpdate(
        event_id=event_id,
        order_id=told.order_id,
        erp_document=told.document,
        status=OrderStatus.Value(f"ORDER_STATUS_{told.status or 'UNSPECIFIED'}"),
        invoice_number=told.invoice,
    )
    update.occurred_at.FromJsonString("2024-01-01T00:00:00Z")
    return update
