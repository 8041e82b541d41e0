"""How many statements, each a round trip to the database, a call costs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from statistics import median

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.databases import Database
from benchmarks.growth import status_update
from benchmarks.places import Call, Place, calling
from benchmarks.results import Line, Series
from benchmarks.sites import Options, say, site
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest
from tandem.erp.v1 import delivery_requests_pb2 as pb
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub

TIMES = 20
BATCH = 100

Counts = dict[str, float]
"""Statements a call, by kind."""


def statements(options: Options) -> Iterator[Line]:
    """Count what the server sends to the database for each call."""
    if options.embedded:
        say("  SQLite does not count its statements")
        return
    with site(options) as here:
        here.fill(1_000, options.rounds * TIMES * BATCH)
        rounds = [
            apart(count, here.place, [here.done.order_id(number * TIMES + each) for each in range(TIMES)])
            for number in range(options.rounds)
        ]
    for name in rounds[0]:
        totals = Series("statements", [sum(counts[name].values()) for counts in rounds])
        kinds = {kind: median(counts[name].get(kind, 0) for counts in rounds) for kind in rounds[0][name]}
        yield Line(f"statements a {name}", totals, note=", ".join(f"{kind} {n:g}" for kind, n in kinds.items() if n))


async def count(place: Place, ids: list[str]) -> dict[str, Counts]:
    """Make every call a few times, and count; the status updates are about the orders with *ids*."""
    held: list[Delivery] = []
    left = iter(ids)
    async with place.channel() as channel:
        crm, erp = CrmServiceStub(channel), ErpServiceStub(channel)
        lease = calling(erp.LeaseOrders, lambda: pb.LeaseOrdersRequest(worker="bench", max_orders=BATCH), place.erp_key)

        async def claim() -> None:
            held.extend((await lease()).deliveries)

        calls: dict[str, Call] = {
            "create": calling(crm.CreateOrder, lambda: CreateOrderRequest(order=samples.order()), place.crm_key),
            "list of 50": calling(crm.ListOrders, ListOrdersRequest, place.crm_key),
            f"claim of {BATCH}": claim,
            f"ack of {BATCH}": calling(erp.AcknowledgeOrders, lambda: _acknowledgement(held), place.erp_key),
            "status update": calling(erp.UpdateOrderStatus, lambda: status_update(next(left)), place.erp_key),
        }
        return {name: await _counted(place.database, call) for name, call in calls.items()}


async def _counted(database: Database, call: Callable[[], Awaitable[object]]) -> Counts:
    before = database.statements()
    for _ in range(TIMES):
        await call()
    after = database.statements()
    counts = {kind: (number - before.get(kind, 0)) / TIMES for kind, number in after.items()}
    return {kind: number for kind, number in sorted(counts.items()) if number}


def _acknowledgement(held: list[Delivery]) -> pb.AcknowledgeOrdersRequest:
    """Acknowledge the next of what is *held*."""
    part = [held.pop() for _ in range(BATCH)]
    return pb.AcknowledgeOrdersRequest(
        acknowledgements=[
            pb.Acknowledgement(
                order_id=each.order.id, lease_token=each.lease_token, erp_document=f"SO-{each.order.external_id}"
            )
            for each in part
        ]
    )
