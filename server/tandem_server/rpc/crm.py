"""The CRM's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from tandem.crm.v1 import customer_requests_pb2 as customer_pb
from tandem_proto.errors import NotFound, TandemError
from tandem_server.domain.principals import Caller
from tandem_server.rpc import contents, messages, pages
from tandem_server.rpc.calls import CALLER, Context, reads, set_header, writes
from tandem_server.rpc.crm_orders import OrderMethods, tell_replay
from tandem_server.rpc.filters import customer_filters
from tandem_server.rpc.masks import masked_fields
from tandem_server.storage import customers as stored_customers
from tandem_server.storage.database import Transaction
from tandem_server.usecases import customers, erasures

ERASED, WAITING = customer_pb.ERASURE_OUTCOME_ERASED, customer_pb.ERASURE_OUTCOME_WAITING


class CrmService(OrderMethods):
    """`tandem.crm.v1.CrmService`: its customers, and from `OrderMethods` its orders."""

    @writes
    async def CreateCustomer(
        self, request: customer_pb.CreateCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.CreateCustomerResponse:
        try:
            row, replayed = await customers.create(tx, caller, contents.customer(request.customer))
        except TandemError as error:
            error.within("customer")
            raise
        tell_replay(replayed)
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

    async def ListCustomers(
        self, request: customer_pb.ListCustomersRequest, _context: Context
    ) -> customer_pb.ListCustomersResponse:
        """Make messages when the connection is given back, as `ListOrders`."""
        filters = customer_filters(request, CALLER.get().principal)
        after_id, newest_first = pages.start_of(request), request.order_by.endswith(" desc")
        rows, more = await self.database.read(
            lambda tx: stored_customers.page(
                tx, filters, after_id=after_id, newest_first=newest_first, limit=pages.size_of(request)
            )
        )
        fitting, cut = pages.fitting(await messages.each(messages.customer, rows))
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
            error.within("customer")
            raise
        return customer_pb.UpdateCustomerResponse(customer=messages.customer(row))

    async def EraseCustomer(
        self, request: customer_pb.EraseCustomerRequest, _context: Context
    ) -> customer_pb.EraseCustomerResponse:
        """Erase in several transactions: one may not last as long as ten thousand orders take."""
        told = await erasures.erase(
            self.database, CALLER.get(), request.id, cancel_open_orders=request.cancel_open_orders
        )
        if told.waiting_order_ids:
            self.order_waits()
        return customer_pb.EraseCustomerResponse(
            outcome=ERASED if told.row else WAITING,
            customer=messages.customer(told.row) if told.row else None,
            waiting_order_ids=told.waiting_order_ids,
        )

    @writes
    async def UpsertCustomer(
        self, request: customer_pb.UpsertCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.UpsertCustomerResponse:
        try:
            row, outcome = await customers.upsert(tx, caller, contents.customer(request.customer))
        except TandemError as error:
            error.within("customer")
            raise
        set_header("tandem-outcome", outcome)
        return customer_pb.UpsertCustomerResponse(
            customer=messages.customer(row), outcome=customer_pb.UpsertOutcome.Value(f"UPSERT_OUTCOME_{outcome}")
        )
