"""The CRM's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from collections.abc import Callable

from tandem.crm.v1 import customer_requests_pb2 as customer_pb
from tandem.crm.v1 import order_requests_pb2 as order_pb
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceServicer
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem_proto.errors import FieldViolation, InvalidArgument, NotFound, TandemError
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.rpc import contents, messages, pages
from tandem_server.rpc.calls import reads, set_header, writes
from tandem_server.rpc.masks import masked_fields
from tandem_server.storage import customers as stored_customers
from tandem_server.storage import orders as stored_orders
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.orders import OrderFilters
from tandem_server.usecases import customers, orders

ORDER_BYTES = 1 << 20


class CrmService(CrmServiceServicer):
    """`tandem.crm.v1.CrmService`; *order_created* is called after each commit that makes an order wait."""

    def __init__(self, database: Database, routes: Routes, order_created: Callable[[], None]) -> None:
        self.database = database
        self._routes = routes
        self._order_created = order_created

    @writes
    async def CreateCustomer(
        self, request: customer_pb.CreateCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.CreateCustomerResponse:
        try:
            row, replayed = await customers.create(tx, caller, contents.customer(request.customer))
        except TandemError as error:
            raise error.within("customer") from error
        _tell_replay(replayed)
        return customer_pb.CreateCustomerResponse(customer=messages.customer(row))

    @reads
    async def GetCustomer(
        self, request: customer_pb.GetCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.GetCustomerResponse:
        source = caller.principal.source
        row = await stored_customers.find(tx, source, customer_id=request.id, external_id=request.external_id)
        if row is None:
            raise NotFound(f"there is no customer {request.id or request.external_id}")
        return customer_pb.GetCustomerResponse(customer=messages.customer(row))

    @reads
    async def ListCustomers(
        self, request: customer_pb.ListCustomersRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.ListCustomersResponse:
        filters = CustomerFilters(
            source=caller.principal.source,
            email=request.email,
            external_id=request.external_id,
            erp_number=request.erp_number,
            updated_after=contents.instant_of(request, "updated_after"),
            updated_before=contents.instant_of(request, "updated_before"),
        )
        rows, more = await stored_customers.page(
            tx,
            filters,
            after_id=pages.start_of(request),
            newest_first=request.order_by.endswith(" desc"),
            limit=pages.size_of(request),
        )
        fitting, cut = pages.fitting([messages.customer(row) for row in rows])
        token = pages.token_after(request, fitting[-1].id) if more or cut else ""
        return customer_pb.ListCustomersResponse(customers=fitting, next_page_token=token)

    @writes
    async def UpdateCustomer(
        self, request: customer_pb.UpdateCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.UpdateCustomerResponse:
        mask = masked_fields(request)
        content = contents.customer(request.customer)
        try:
            row = await customers.update(tx, caller, request.id, content, mask, request.etag)
        except TandemError as error:
            raise error.within("customer") from error
        return customer_pb.UpdateCustomerResponse(customer=messages.customer(row))

    @writes
    async def UpsertCustomer(
        self, request: customer_pb.UpsertCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.UpsertCustomerResponse:
        try:
            row, outcome = await customers.upsert(tx, caller, contents.customer(request.customer))
        except TandemError as error:
            raise error.within("customer") from error
        set_header("tandem-outcome", outcome)
        return customer_pb.UpsertCustomerResponse(
            customer=messages.customer(row), outcome=customer_pb.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome}")
        )

    @writes
    async def CreateOrder(
        self, request: order_pb.CreateOrderRequest, tx: Transaction, caller: Caller
    ) -> order_pb.CreateOrderResponse:
        size = request.order.ByteSize()
        if size > ORDER_BYTES:
            wrong = FieldViolation("order.lines", f"the order has {size} bytes, at most {ORDER_BYTES} fit")
            raise InvalidArgument(wrong.description, fields=[wrong])
        new = orders.NewOrder(contents.order(request.order), size)
        (result,) = await orders.create(tx, caller, self._routes, [new])
        if isinstance(result, TandemError):
            raise result.within("order")
        if not result.replayed:
            tx.after_commit(self._order_created)
        _tell_replay(result.replayed)
        return order_pb.CreateOrderResponse(order=messages.order(result.stored, await tx.now()))

    @reads
    async def GetOrder(
        self, request: order_pb.GetOrderRequest, tx: Transaction, caller: Caller
    ) -> order_pb.GetOrderResponse:
        source = caller.principal.source
        stored = await stored_orders.find(tx, source, order_id=request.id, external_id=request.external_id)
        if stored is None:
            raise NotFound(f"there is no order {request.id or request.external_id}")
        return order_pb.GetOrderResponse(order=messages.order(stored, await tx.now()))

    @reads
    async def ListOrders(
        self, request: order_pb.ListOrdersRequest, tx: Transaction, caller: Caller
    ) -> order_pb.ListOrdersResponse:
        found, more = await stored_orders.page(
            tx,
            _order_filters(request, caller),
            after_id=pages.start_of(request),
            newest_first=request.order_by.endswith(" desc"),
            limit=pages.size_of(request),
        )
        now = await tx.now()
        token = pages.token_after(request, found[-1].order.id) if more else ""
        return order_pb.ListOrdersResponse(
            orders=[messages.order(stored, now) for stored in found], next_page_token=token
        )


def _order_filters(request: order_pb.ListOrdersRequest, caller: Caller) -> OrderFilters:
    return OrderFilters(
        source=caller.principal.source,
        statuses=[OrderStatus.Name(number).removeprefix("ORDER_STATUS_") for number in request.status],
        customer_id=request.customer_id,
        external_id=request.external_id,
        created_after=contents.instant_of(request, "created_after"),
        created_before=contents.instant_of(request, "created_before"),
        updated_after=contents.instant_of(request, "updated_after"),
        updated_before=contents.instant_of(request, "updated_before"),
    )


def _tell_replay(replayed: bool) -> None:
    if replayed:
        set_header("idempotent-replayed", "true")
