"""The ERP's service: translation between protobuf and use cases, nothing else."""

from __future__ import annotations

from datetime import datetime

from tandem.erp.v1 import customer_requests_pb2 as customer_pb
from tandem.erp.v1 import dead_letter_pb2 as dead_pb
from tandem.erp.v1 import status_update_pb2 as status_pb
from tandem_proto.errors import NotFound
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.rpc import contents, messages, pages, status_updates
from tandem_server.rpc.calls import CALLER, Context, reads, writes
from tandem_server.rpc.erp_deliveries import DeliveryMethods
from tandem_server.storage import dead_letters as stored_dead_letters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.dead_letters import DeadFilters
from tandem_server.usecases import customers, dead_letters, statuses
from tandem_server.usecases.dispatch import Dispatcher
from tandem_server.usecases.housekeeping import Housekeeping


class ErpService(DeliveryMethods):
    """`tandem.erp.v1.ErpService`: statuses, customers and dead letters, and from `DeliveryMethods` its deliveries."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        housekeeping: Housekeeping,
        routes: Routes,
        max_failures: int,
    ) -> None:
        super().__init__(database, dispatcher, max_failures)
        self._housekeeping = housekeeping
        self._routes = routes

    @writes
    async def UpdateOrderStatus(
        self, request: status_pb.UpdateOrderStatusRequest, tx: Transaction, caller: Caller
    ) -> status_pb.UpdateOrderStatusResponse:
        told = [status_updates.told(update) for update in request.updates or [request.update]]
        results = await statuses.update(tx, caller, told)
        if request.HasField("update"):
            status_updates.check_single(told[0], results[0])
        if documents := [each.erp_document for each, result in zip(told, results, strict=True) if result.parked]:
            tx.after_commit(lambda: self._housekeeping.settle(caller, documents))
        return status_pb.UpdateOrderStatusResponse(results=map(status_updates.result, told, results))

    @reads
    async def GetCustomer(
        self, request: customer_pb.GetCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.GetCustomerResponse:
        rows = await customers.served(tx, self._routes, caller, [request.id])
        if request.id not in rows:
            raise NotFound(f"there is no customer {request.id}")
        return customer_pb.GetCustomerResponse(customer=messages.customer(rows[request.id]))

    @reads
    async def BatchGetCustomers(
        self, request: customer_pb.BatchGetCustomersRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.BatchGetCustomersResponse:
        rows = await customers.served(tx, self._routes, caller, request.ids)
        found = [messages.customer(rows[each]) for each in request.ids if each in rows]
        fitting, _ = pages.fitting(found)
        return customer_pb.BatchGetCustomersResponse(
            customers=fitting,
            missing_ids=[each for each in request.ids if each not in rows],
            remaining_ids=[customer.id for customer in found[len(fitting) :]],
        )

    @writes
    async def LinkCustomer(
        self, request: customer_pb.LinkCustomerRequest, tx: Transaction, caller: Caller
    ) -> customer_pb.LinkCustomerResponse:
        row, _ = await customers.link(tx, self._routes, caller, request.id, request.erp_number)
        return customer_pb.LinkCustomerResponse(customer=messages.customer(row))

    async def ListDeadOrders(
        self, request: dead_pb.ListDeadOrdersRequest, _context: Context
    ) -> dead_pb.ListDeadOrdersResponse:
        """Make messages when the connection is given back: that takes as long as to read."""
        filters = _dead(request, CALLER.get())
        after_id, limit = pages.start_of(request), pages.size_of(request)

        async def read(tx: Transaction) -> tuple[stored_dead_letters.Page, datetime]:
            return await stored_dead_letters.page(tx, filters, after_id=after_id, limit=limit), await tx.now()

        page, now = await self.database.read(read)
        return dead_pb.ListDeadOrdersResponse(
            dead_orders=await messages.each(lambda stored: messages.dead_order(stored, now), page.orders),
            next_page_token=pages.token_after(request, page.last_id) if page.more else "",
        )

    async def ReplayOrders(
        self, request: dead_pb.ReplayOrdersRequest, _context: Context
    ) -> dead_pb.ReplayOrdersResponse:
        """Replay in several transactions: no lock may last as long as ten thousand orders take."""
        caller = CALLER.get()
        if request.order_ids:
            outcomes = await dead_letters.replay_by_ids(self.database, caller, request.order_ids)
            done = dead_letters.Replayed(outcomes.count(dead_letters.Outcome.REPLAYED), more=False)
        else:
            outcomes = []
            done = await dead_letters.replay_found(self.database, caller, _dead(request, caller))
        self._dispatcher.wake()
        results = [
            dead_pb.ReplayResult(order_id=order_id, outcome=dead_pb.ReplayOutcome.Value(f"REPLAY_OUTCOME_{outcome}"))
            for order_id, outcome in zip(request.order_ids, outcomes, strict=True)
        ]
        return dead_pb.ReplayOrdersResponse(results=results, replayed=done.number, more=done.more)


def _dead(request: dead_pb.ListDeadOrdersRequest | dead_pb.ReplayOrdersRequest, caller: Caller) -> DeadFilters:
    return DeadFilters(
        erp=caller.principal.erp,
        code=request.code,
        after=contents.instant_of(request, "dead_after"),
        before=contents.instant_of(request, "dead_before"),
    )
