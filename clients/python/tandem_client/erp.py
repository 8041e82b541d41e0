"""The ERP's side, call by call. `tandem.orders.pull` does all of it but the status updates on its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.crm.v1.customer_pb2 import Customer
from tandem.erp.v1.customer_requests_pb2 import (
    BatchGetCustomersRequest,
    BatchGetCustomersResponse,
    GetCustomerRequest,
    LinkCustomerRequest,
)
from tandem.erp.v1.dead_letter_pb2 import (
    DeadOrder,
    ListDeadOrdersRequest,
    ListDeadOrdersResponse,
    ReplayOrdersRequest,
    ReplayOrdersResponse,
)
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementResult,
    AcknowledgeOrdersRequest,
    LeaseOrdersRequest,
    Rejection,
    RejectionResult,
    RejectOrdersRequest,
)
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem.erp.v1.lease_requests_pb2 import ExtendLeasesRequest, LeaseExtension, LeaseExtensionResult
from tandem.erp.v1.status_update_pb2 import StatusUpdate, StatusUpdateResult, UpdateOrderStatusRequest
from tandem_client.caller import Caller
from tandem_client.pages import Pages


def _dead_orders(page: ListDeadOrdersResponse) -> Iterable[DeadOrder]:
    return page.dead_orders


class Erp:
    """What goes to the caller's ERP. Calls for many items return one result an item, in the same order."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = ErpServiceStub(caller.channel)
        self.dead_orders = Pages(caller, self._stub.ListDeadOrders, ListDeadOrdersRequest, _dead_orders)
        """Iterate over dead letters, by order id; the filters are the fields of ListDeadOrdersRequest."""

    async def lease(
        self, worker: str, *, max_orders: int = 0, lease_seconds: int = 0, wait_seconds: int = 0
    ) -> Sequence[Delivery]:
        """Lease one batch of orders, waiting up to *wait_seconds* for a first one."""
        request = LeaseOrdersRequest(
            worker=worker, max_orders=max_orders, lease_seconds=lease_seconds, wait_seconds=wait_seconds
        )
        response = await self._caller.unary(self._stub.LeaseOrders, request, waits=wait_seconds)
        return response.deliveries

    async def acknowledge(self, acknowledgements: Iterable[Acknowledgement]) -> Sequence[AcknowledgementResult]:
        """Say that orders are stored in the ERP."""
        request = AcknowledgeOrdersRequest(acknowledgements=acknowledgements)
        response = await self._caller.unary(self._stub.AcknowledgeOrders, request)
        return response.results

    async def reject(self, rejections: Iterable[Rejection]) -> Sequence[RejectionResult]:
        """Say that orders are not stored: for now, for good, or to be taken by another worker."""
        response = await self._caller.unary(self._stub.RejectOrders, RejectOrdersRequest(rejections=rejections))
        return response.results

    async def extend(
        self, extensions: Iterable[LeaseExtension], *, lease_seconds: int = 0
    ) -> Sequence[LeaseExtensionResult]:
        """Hold orders longer."""
        request = ExtendLeasesRequest(extensions=extensions, lease_seconds=lease_seconds)
        response = await self._caller.unary(self._stub.ExtendLeases, request)
        return response.results

    async def update_status(self, updates: Iterable[StatusUpdate]) -> Sequence[StatusUpdateResult]:
        """Tell how far orders are, in any order and as often as need be."""
        request = UpdateOrderStatusRequest(updates=updates)
        response = await self._caller.unary(self._stub.UpdateOrderStatus, request)
        return response.results

    async def get_customer(self, customer_id: str) -> Customer:
        """Return one customer."""
        response = await self._caller.unary(self._stub.GetCustomer, GetCustomerRequest(id=customer_id))
        return response.customer

    async def get_customers(self, customer_ids: Iterable[str]) -> BatchGetCustomersResponse:
        """Return many customers, and which ids are missing or did not fit into the reply."""
        request = BatchGetCustomersRequest(ids=customer_ids)
        return await self._caller.unary(self._stub.BatchGetCustomers, request)

    async def link_customer(self, customer_id: str, erp_number: str) -> Customer:
        """Store the ERP's own number for a customer, and return the customer."""
        request = LinkCustomerRequest(id=customer_id, erp_number=erp_number)
        response = await self._caller.unary(self._stub.LinkCustomer, request)
        return response.customer

    async def replay(
        self,
        order_ids: Iterable[str] = (),
        *,
        code: str = "",
        dead_after: Timestamp | None = None,
        dead_before: Timestamp | None = None,
    ) -> ReplayOrdersResponse:
        """Deliver dead letters again: these, or those that died of *code* or in a time; while `more`, call again."""
        request = ReplayOrdersRequest(order_ids=order_ids, code=code, dead_after=dead_after, dead_before=dead_before)
        return await self._caller.unary(self._stub.ReplayOrders, request)
