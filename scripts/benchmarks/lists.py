"""Pages of 50 orders over REST, beside the same over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.apart import apart
from benchmarks.loops import keep_calling
from benchmarks.places import Place, asking, calling
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.crm.v1.order_requests_pb2 import ListOrdersRequest

CONNECTIONS = 8
STORED = 10_000
PAGE = 50
METHOD = "/tandem.crm.v1.CrmService/ListOrders"


def lists(options: Options) -> Iterator[Line]:
    """Measure both ways to a page."""
    readings = Readings()
    with site(options) as here:
        here.fill(STORED, 0)
        for number in range(options.rounds):
            for name, load in (("gRPC", list_by_grpc), ("REST", list_by_rest)):
                readings.add(name, apart(load, here.place, options.seconds))
            rates = ", ".join(f"{name} {readings.middle(name, 'per_second'):,.0f}/s" for name in ("gRPC", "REST"))
            say(f"  round {number + 1}: medians {rates}")
    rest, grpc = (readings.series(name, "per_second", "pages/s") for name in ("REST", "gRPC"))
    note = f"{CONNECTIONS} connections, p50 {readings.middle('REST', 'p50'):.1f} ms"
    target = Target(0.8, at_least=True, of_quotient=True)
    yield Line(f"REST list of {PAGE}", rest, "gRPC", grpc, target, note, readings.cores("REST"))
    note = f"{CONNECTIONS} connections, p50 {readings.middle('gRPC', 'p50'):.1f} ms"
    yield Line(f"gRPC list of {PAGE}", grpc, note=note, cores=readings.cores("gRPC"))


async def list_by_grpc(place: Place, seconds: float) -> Reading:
    """Ask for the first page over and over; replies are received and not parsed, as over REST."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(place.channel()) for _ in range(CONNECTIONS)]
        methods: list[Any] = [channel.unary_unary(METHOD, ListOrdersRequest.SerializeToString) for channel in channels]
        calls = [calling(method, lambda: ListOrdersRequest(page_size=PAGE), place.crm_key) for method in methods]
        return await keep_calling(calls, seconds, place.pids)


async def list_by_rest(place: Place, seconds: float) -> Reading:
    """Ask for the first page over and over."""
    async with place.rest(CONNECTIONS) as session:
        call = asking(session, "GET", f"/v1/orders?page_size={PAGE}", lambda: None)
        return await keep_calling([call] * CONNECTIONS, seconds, place.pids)
