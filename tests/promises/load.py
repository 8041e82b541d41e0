"""Creates, leases and acknowledgements that go on while servers are killed, and the ledger of all that was said."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
from conftest import Party
from retail import a_customer, an_order

from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.customer_requests_pb2 import UpsertCustomerRequest
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementOutcome,
    AcknowledgeOrdersRequest,
    LeaseOrdersRequest,
)
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub

CREATORS, WORKERS = 8, 8
PAUSE_SECONDS = 0.1
RETRY_SECONDS = 0.25  # not sooner: what starts again needs the processor
MOST_SECONDS = 300
CALL_SECONDS = 5
LEASE_SECONDS = 2
OPTIONS = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
UNKNOWN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
}
DONE = {
    AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED,
    AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ALREADY_ACKNOWLEDGED,
}
Entry = dict[str, Any]


class Ledger:
    """A file that only grows: one line a request, one a reply or failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a")

    def write(self, what: str, **told: Any) -> None:
        print(json.dumps({"at": time.time(), "what": what, **told}), file=self._file, flush=True)

    def entries(self, *what: str) -> list[Entry]:
        lines = map(json.loads, self.path.read_text().splitlines())
        return [entry for entry in lines if entry["what"] in what]

    def close(self) -> None:
        self._file.close()


class Load:
    """A party that creates *orders* orders, some of them twice, and an ERP that takes them over, on *addresses*.

    `due` is released whenever a point of *points*, as a number of replies, is reached: then it is time to kill.
    """

    def __init__(
        self, party: Party, addresses: Sequence[str], ledger: Ledger, orders: int, points: Iterable[int]
    ) -> None:
        self.ledger, self.orders = ledger, orders
        self._channels = [grpc.aio.insecure_channel(address, options=OPTIONS) for address in addresses]
        self._as_crm = (("authorization", f"Bearer {party.crm_key}"),)
        self._as_erp = (("authorization", f"Bearer {party.erp_key}"),)
        self._to_create = [*range(orders), *range(0, orders, 20)]
        random.shuffle(self._to_create)
        self._points, self._created = sorted(points, reverse=True), 0
        self._acknowledged: set[str] = set()
        self.due = asyncio.Semaphore(0)

    def _crm(self) -> Any:
        return CrmServiceStub(random.choice(self._channels))

    def _erp(self) -> Any:
        return ErpServiceStub(random.choice(self._channels))

    async def run(self, hurry: Callable[[], object]) -> dict[str, Order]:
        """Go on until everything is created and acknowledged; return what is stored then.

        What was lost twice backs off for half a minute: *hurry* is called now and then, to end that.
        """
        request = UpsertCustomerRequest(customer=a_customer())
        await self._until_ok("customer", lambda: self._crm().UpsertCustomer, request, self._as_crm)
        async with asyncio.TaskGroup() as tasks:
            creators = [tasks.create_task(self._create()) for _ in range(CREATORS)]
            workers = [tasks.create_task(self._work(f"w{n}")) for n in range(WORKERS)]
            await asyncio.wait(creators)
            while len(self._acknowledged) < self.orders:
                await asyncio.wait(workers, timeout=0.5)
                await asyncio.to_thread(hurry)
        return await self._stored()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
        self.ledger.close()

    async def _call(self, what: str, method: Callable[..., Awaitable[Any]], request: Any, key: Any, **told: Any) -> Any:
        """Return the reply, None where there was none: then nobody knows what was done."""
        self.ledger.write(f"{what}?", **told)
        try:
            return await method(request, metadata=key, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            self.ledger.write(f"{what}!", **told, code=error.code().name)
            if error.code() not in UNKNOWN:
                raise
            return None

    async def _until_ok(self, what: str, method: Callable[[], Any], request: Any, key: Any, **told: Any) -> Any:
        """Call until there is a reply, each time whichever server *method* picks."""
        while True:
            reply = await self._call(what, method(), request, key, **told)
            if reply is not None:
                return reply
            await asyncio.sleep(RETRY_SECONDS)

    async def _create(self) -> None:
        """Create orders, each until the server says OK."""
        while self._to_create:
            number = f"{self._to_create.pop()}"
            request = CreateOrderRequest(order=an_order(number, lines=3))
            reply = await self._until_ok("create", lambda: self._crm().CreateOrder, request, self._as_crm, n=number)
            self.ledger.write("created", n=number, id=reply.order.id, content=content_of(reply.order))
            self._created += 1
            if self._points and self._created >= self._points[-1]:
                self._points.pop()
                self.due.release()

    async def _work(self, name: str) -> None:
        """Lease, work and acknowledge. Some work takes longer than the lease, and some workers die of it.

        The pause makes batches of what else were single orders.
        """
        request = LeaseOrdersRequest(worker=name, max_orders=50, lease_seconds=LEASE_SECONDS, wait_seconds=1)
        while len(self._acknowledged) < self.orders:
            reply = await self._call("lease", self._erp().LeaseOrders, request, self._as_erp, who=name)
            deliveries = list(reply.deliveries) if reply else []
            for each in deliveries:
                expires = each.lease_expires_at.ToNanoseconds() / 1e9
                self.ledger.write("leased", who=name, id=each.order.id, attempt=each.attempt, expires=expires)
            fate = random.random()
            await asyncio.sleep(1.2 * LEASE_SECONDS if fate < 0.05 else random.uniform(1, 4) * PAUSE_SECONDS)
            if fate < 0.9:
                await self._acknowledge(name, deliveries)

    async def _acknowledge(self, name: str, deliveries: Sequence[Delivery]) -> None:
        """An acknowledgement whose reply was lost is sent again."""
        if not deliveries:
            return
        items = [
            Acknowledgement(order_id=d.order.id, lease_token=d.lease_token, erp_document=f"SO-{d.order.id}")
            for d in deliveries
        ]
        request = AcknowledgeOrdersRequest(acknowledgements=items)
        for each in deliveries:
            self.ledger.write("finished", who=name, id=each.order.id, attempt=each.attempt)
        reply = await self._until_ok("ack", lambda: self._erp().AcknowledgeOrders, request, self._as_erp, who=name)
        for each, result in zip(deliveries, reply.results, strict=True):
            if result.outcome in DONE:
                self.ledger.write("acknowledged", who=name, id=each.order.id, attempt=each.attempt)
                self._acknowledged.add(each.order.id)

    async def _stored(self) -> dict[str, Order]:
        orders: dict[str, Order] = {}
        request = ListOrdersRequest(page_size=1000)
        while True:
            reply = await self._until_ok("list", lambda: self._crm().ListOrders, request, self._as_crm)
            orders |= {order.id: order for order in reply.orders}
            request.page_token = reply.next_page_token
            if not request.page_token:
                return orders


def content_of(order: Order) -> list[Any]:
    lines = [[line.line_number, line.sku, line.quantity, line.unit_price, line.amount] for line in order.lines]
    return [order.external_id, order.customer_id, order.currency, order.total, lines]


def check(ledger: Ledger, stored: dict[str, Order], orders: int) -> None:
    """Nothing that was said to be done is missing, nothing is there twice, and no order was held by two."""
    created, acknowledged = ledger.entries("created"), ledger.entries("acknowledged")
    there = Counter(order.external_id for order in stored.values())
    wrong = {n: there[n] for n in {*there, *map(str, range(orders))} if there[n] != 1}
    assert not wrong, f"missing, or there twice: {wrong}"
    for entries in (created, acknowledged):
        lost = {entry["id"] for entry in entries} ^ set(stored)
        assert not lost, f"told and not stored, or stored and never told: {lost}"
    for entry in created:
        assert content_of(stored[entry["id"]]) == entry["content"], f"not as it was told: {entry}"
    for entry in acknowledged:
        assert stored[entry["id"]].erp_document == f"SO-{entry['id']}", f"lost: {entry}"
    final = {entry["id"]: entry["attempt"] for entry in acknowledged}
    again = [entry for entry in ledger.entries("leased") if entry["attempt"] > final[entry["id"]]]
    assert not again, f"acknowledged, and came again: {again}"
    check_holders(ledger)
    assert len(ledger.entries("leased")) > orders, "no lease was lost: nothing was tried"
    asked, failed = len(ledger.entries("create?", "lease?", "ack?")), len(ledger.entries("create!", "lease!", "ack!"))
    print(f"{failed} of {asked} calls failed; {len(final)} orders in {len(ledger.entries('leased'))} leases")  # noqa: T201


def check_holders(ledger: Ledger) -> None:
    finished = {(e["id"], e["attempt"]): e["at"] for e in ledger.entries("finished")}
    held: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for entry in ledger.entries("leased"):
        until = min(entry["expires"], finished.get((entry["id"], entry["attempt"]), entry["expires"]))
        held[entry["id"]].append((entry["attempt"], entry["at"], until))
    for intervals in held.values():
        for (attempt, _, end), (later, start, _) in pairwise(sorted(intervals)):
            assert attempt < later, f"a lease was handed out twice: {intervals}"
            assert end <= start, f"two held an order at one time: {intervals}"
