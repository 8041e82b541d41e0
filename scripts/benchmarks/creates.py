"""Creating orders over gRPC and REST, alone and with many callers, beside the driver's own transaction."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.loops import keep_calling
from benchmarks.places import Place, asking, calling
from benchmarks.raw_driver import create
from benchmarks.results import Line, Reading, Readings
from benchmarks.sites import Options, Site, say, site
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest

CALLERS = (1, 32)
POOL = 5
"""Connections that a server has by default: the driver alone gets no more."""


def creates(options: Options) -> Iterator[Line]:
    """Measure both ways to create, with few callers and with many."""
    readings = Readings()
    with site(options) as here:
        here.fill(1_000, 0)
        for number in range(options.rounds):
            for callers in CALLERS:
                for name, reading in _round(here, options, callers):
                    readings.add(f"{name} {callers}", reading)
            rates = (
                f"{way} {n}: {readings.middle(f'{way} {n}', 'per_second'):,.0f}/s" for way in WAYS for n in CALLERS
            )
            say(f"  round {number + 1}: medians {', '.join(rates)}")
    for callers in CALLERS:
        series = {name: readings.series(f"{name} {callers}", "per_second", "orders/s") for name in WAYS}
        if not options.embedded:
            series["driver"] = readings.series(f"driver {callers}", "per_second", "orders/s")
        for name, beside in (("gRPC", "driver"), ("REST", "gRPC")):
            p50, p99 = (readings.middle(f"{name} {callers}", part) for part in ("p50", "p99"))
            what = f"create over {name}, {callers} caller{'s'[: callers - 1]}"
            note, cores = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", readings.cores(f"{name} {callers}")
            yield Line(what, series[name], beside, series.get(beside), note=note, cores=cores)


async def create_by_grpc(place: Place, callers: int, seconds: float) -> Reading:
    """Create orders over one connection."""
    async with place.channel() as channel:
        stub = CrmServiceStub(channel)
        call = calling(stub.CreateOrder, lambda: CreateOrderRequest(order=samples.order()), place.crm_key)
        return await keep_calling([call] * callers, seconds, place.pids)


async def create_by_rest(place: Place, callers: int, seconds: float) -> Reading:
    """Create orders over as many connections as there are callers."""
    async with place.rest(callers) as session:
        call = asking(session, "POST", "/v1/orders", samples.order_json)
        return await keep_calling([call] * callers, seconds, place.pids)


WAYS = {"gRPC": create_by_grpc, "REST": create_by_rest}


def _round(here: Site, options: Options, callers: int) -> Iterator[tuple[str, Reading]]:
    for name, load in WAYS.items():
        yield name, apart(load, here.place, callers, options.seconds)
    if not options.embedded:
        yield "driver", apart(create, here.place, here.waiting.rows, min(POOL, callers), options.seconds)
