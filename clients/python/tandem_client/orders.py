"""Orders: the CRM hands them over, the ERP pulls them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager

from google.protobuf.field_mask_pb2 import FieldMask

from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_change_requests_pb2 import (
    AmendOrderRequest,
    CancelOrderRequest,
    UpsertOrderRequest,
    UpsertOrderResponse,
)
from tandem.crm.v1.order_event_pb2 import OrderEvent
from tandem.crm.v1.order_event_requests_pb2 import ListOrderEventsRequest, ListOrderEventsResponse
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_requests_pb2 import (
    CreateOrderRequest,
    GetOrderRequest,
    ListOrdersRequest,
    ListOrdersResponse,
)
from tandem.erp.v1.delivery_requests_pb2 import PullOrdersRequest
from tandem_client.caller import Caller
from tandem_client.deliveries import Deliveries
from tandem_client.pages import Pages
from tandem_client.pull import pull


def _orders(page: ListOrdersResponse) -> Iterable[Order]:
    return page.orders


def _of_timeline(page: ListOrderEventsResponse) -> Iterable[OrderEvent]:
    return page.events


class Orders:
    """The orders of the caller's party, or those that go to the caller's ERP."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = CrmServiceStub(caller.channel)
        self.list = Pages(caller, self._stub.ListOrders, ListOrdersRequest, _orders)
        """Iterate over orders, oldest first; the filters are the fields of ListOrdersRequest."""
        self._events = Pages(caller, self._stub.ListOrderEvents, ListOrderEventsRequest, _of_timeline)

    async def create(self, order: Order) -> Order:
        """Create *order*, which then waits for the ERP, and return it as stored. The same again changes nothing."""
        response = await self._caller.unary(self._stub.CreateOrder, CreateOrderRequest(order=order))
        return response.order

    async def get(self, order_id: str = "", *, external_id: str = "") -> Order:
        """Return one order, by Tandem's id or by the CRM's."""
        request = GetOrderRequest(id=order_id, external_id=external_id)
        response = await self._caller.unary(self._stub.GetOrder, request)
        return response.order

    async def upsert(self, order: Order, *, etag: str = "") -> UpsertOrderResponse:
        """Store *order* as it is now, under its external_id; `outcome` says what that changed."""
        request = UpsertOrderRequest(order=order, etag=etag)
        return await self._caller.unary(self._stub.UpsertOrder, request)

    async def amend(
        self,
        order_id: str,
        order: Order,
        *,
        fields: Iterable[str] = (),
        etag: str = "",
        idempotency_key: str = "",
    ) -> Order:
        """Change the *fields* named (none: all that *order* fills), only if the order still has this *etag*.

        The same again under the same *idempotency_key* changes nothing and returns what the first call did.
        """
        mask = FieldMask(paths=fields)
        request = AmendOrderRequest(id=order_id, order=order, update_mask=mask, etag=etag)
        response = await self._caller.unary(self._stub.AmendOrder, request, idempotency_key=idempotency_key)
        return response.order

    async def cancel(self, order_id: str, *, reason: str = "", etag: str = "") -> Order:
        """Call an order off: done if `status` says so, asked of the ERP if `cancel_requested_at` is set."""
        request = CancelOrderRequest(id=order_id, reason=reason, etag=etag)
        response = await self._caller.unary(self._stub.CancelOrder, request)
        return response.order

    def events(self, order_id: str) -> AsyncIterator[OrderEvent]:
        """Iterate over what happened to an order, from its creation on."""
        return self._events(id=order_id)

    def pull(
        self,
        worker: str,
        *,
        batch_size: int = 50,
        max_outstanding: int = 100,
        lease_seconds: int = 60,
        until_empty: bool = False,
    ) -> AbstractAsyncContextManager[Deliveries]:
        """Take orders over for the ERP, each under a lease that lasts until it is acknowledged, rejected or released.

        At most *max_outstanding* orders are in the hands of *worker* at one time. Leaving the context gives back what
        it has not finished. The iteration goes on for ever, or (*until_empty*) ends when nothing waits.
        """
        if min(max_outstanding, lease_seconds) < 1:
            raise ValueError("max_outstanding and lease_seconds are at least 1")
        request = PullOrdersRequest(
            worker=worker,
            batch_size=batch_size,
            max_outstanding=max_outstanding,
            lease_seconds=lease_seconds,
            until_empty=until_empty,
        )
        return pull(self._caller, request)
