"""What calls cost with very many orders stored, beside the same with few."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks import samples
from benchmarks.apart import apart
from benchmarks.loops import call_times
from benchmarks.places import Call, Place, calling
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.crm.v1.crm_service_pb2_grpc import CrmServiceStub
from tandem.crm.v1.order_requests_pb2 import CreateOrderRequest, ListOrdersRequest
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import LeaseOrdersRequest, Rejection, RejectOrdersRequest
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem.erp.v1.status_update_pb2 import StatusUpdate, UpdateOrderStatusRequest
from tandem_client import OrderStatus

FEW, WAITING, CLAIM = 10_000, 2_000, 100
CALLS = {"create": 100, "list": 50, "list, newest first": 50, "list of a status": 50, "claim of 100": 10, "status": 100}
"""How often each is called a round."""


def growth(options: Options) -> Iterator[Line]:
    """Measure every call on both, in turn."""
    readings, orders = Readings(), {"few": FEW, "many": options.orders}
    with site(options) as small, site(options) as large:
        sites = {"few": small, "many": large}
        for size, here in sites.items():
            here.fill(orders[size] - WAITING, WAITING)
        for number in range(options.rounds):
            for name in CALLS:
                for size, here in sites.items():
                    ids = [here.done.order_id(random.randrange(orders[size] - WAITING)) for _ in range(200)]
                    readings.add(f"{name} {size}", apart(measure, here.place, name, ids))
            times = (readings.middle(f"{name} many", "p50") / readings.middle(f"{name} few", "p50") for name in CALLS)
            say(f"  round {number + 1}: " + ", ".join(f"{n} {t:.2f}x" for n, t in zip(CALLS, times, strict=True)))
    for name in CALLS:
        few, many = (readings.series(f"{name} {size}", "p50", "ms") for size in ("few", "many"))
        what, beside = f"{name}, {options.orders:,} stored", f"{FEW:,} stored"
        yield Line(what, many, beside, few, Target(1.3, of_quotient=True), "p50", readings.cores(f"{name} many"))


async def measure(place: Place, name: str, ids: Sequence[str]) -> Reading:
    """Make the call *name* many times, one after the other; status updates are about the orders with *ids*."""
    async with place.channel() as channel:
        if name == "claim of 100":
            return await _claims(place, ErpServiceStub(channel))
        call = _calls(place, channel, ids)[name]
        return await call_times(call, CALLS[name], place.pids)


def _calls(place: Place, channel: grpc.aio.Channel, ids: Sequence[str]) -> dict[str, Call]:
    crm, erp = CrmServiceStub(channel), ErpServiceStub(channel)
    lists: dict[str, Callable[[], ListOrdersRequest]] = {
        "list": ListOrdersRequest,
        "list, newest first": lambda: ListOrdersRequest(order_by="created_at desc"),
        "list of a status": lambda: ListOrdersRequest(status=[OrderStatus.ORDER_STATUS_NEW]),
    }
    left = iter(ids)
    return {name: calling(crm.ListOrders, request, place.crm_key) for name, request in lists.items()} | {
        "create": calling(crm.CreateOrder, lambda: CreateOrderRequest(order=samples.order()), place.crm_key),
        "status": calling(erp.UpdateOrderStatus, lambda: status_update(next(left)), place.erp_key),
    }


def status_update(order_id: str) -> UpdateOrderStatusRequest:
    """Return the news that an order is being worked on."""
    now = Timestamp()
    now.GetCurrentTime()
    told = StatusUpdate(
        event_id=secrets.token_hex(16),
        order_id=order_id,
        status=OrderStatus.ORDER_STATUS_PROCESSING,
        occurred_at=now,
    )
    return UpdateOrderStatusRequest(updates=[told])


async def _claims(place: Place, erp: ErpServiceStub) -> Reading:
    """Lease batch after batch, and give all of it back when the time has been taken."""
    held: list[Delivery] = []
    lease = calling(erp.LeaseOrders, lambda: LeaseOrdersRequest(worker="bench", max_orders=CLAIM), place.erp_key)

    async def claim() -> None:
        held.extend((await lease()).deliveries)

    reading = await call_times(claim, CALLS["claim of 100"], place.pids)
    rejections = [
        Rejection(order_id=each.order.id, lease_token=each.lease_token, code="BENCH", reason="measured", release=True)
        for each in held
    ]
    for start in range(0, len(rejections), 500):
        part = partial(RejectOrdersRequest, rejections=rejections[start : start + 500])
        await calling(erp.RejectOrders, part, place.erp_key)()
    return reading
