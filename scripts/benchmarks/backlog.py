"""Pull and acknowledge a backlog, beside the driver's own claim-read-ack loop, bare and with all that is promised."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from benchmarks.apart import WorkFailedError, apart
from benchmarks.clocks import stretch
from benchmarks.places import SECONDS, Place
from benchmarks.raw_driver import drain, drain_whole
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.erp.v1 import delivery_requests_pb2 as pb
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem_client import Delivery as Held

WHOLE = "driver, timelines and checks too"
REACH = Target(0.6, at_least=True, of_quotient=True)
WHATS = {"stream": "pull + ack of a backlog", "client": "the same with the client's pull()"}


def backlog(options: Options) -> Iterator[Line]:
    """Measure every way through the same backlog."""
    readings, loads = Readings(), {"stream": pull, "client": pull_with_client}
    if not options.embedded:
        loads |= {"driver": drain, WHOLE: drain_whole}
    with site(options) as here:
        here.fill(0, options.backlog)
        for number in range(options.rounds):
            for name, load in loads.items():
                here.refill(options.backlog)
                reading = apart(load, here.place, options.batch)
                _check(reading, options.backlog)
                readings.add(name, reading)
            rates = ", ".join(f"{name} {readings.middle(name, 'per_second'):,.0f}/s" for name in loads)
            say(f"  round {number + 1}: medians {rates}")
    series = {name: readings.series(name, "per_second", "orders/s") for name in loads}
    note = f"{options.backlog:,} orders, batches of {options.batch}"
    limits: list[tuple[str, str, Target | None]] = [
        ("stream", "driver", REACH),
        ("stream", WHOLE, None),
        ("client", "driver", None),
    ]
    for name, beside, target in [("stream", "", None), ("client", "", None)] if options.embedded else limits:
        yield Line(WHATS[name], series[name], beside, series.get(beside), target, note, readings.cores(name))


async def pull(place: Place, batch: int) -> Reading:
    """Pull by one stream and acknowledge batch by batch, until nothing waits."""
    count = 0
    async with place.channel() as channel, asyncio.TaskGroup() as group:
        stub, metadata = ErpServiceStub(channel), (("authorization", f"Bearer {place.erp_key}"),)
        request = pb.PullOrdersRequest(
            worker="bench", batch_size=batch, max_outstanding=4 * batch, lease_seconds=120, until_empty=True
        )

        async def acknowledge(deliveries: Iterable[Delivery]) -> None:
            nonlocal count
            told = pb.AcknowledgeOrdersRequest(acknowledgements=map(_acknowledgement, deliveries))
            reply = await stub.AcknowledgeOrders(told, metadata=metadata, timeout=SECONDS)
            count += sum(result.outcome == pb.ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED for result in reply.results)

        with stretch(place.pids) as seen:
            replies = stub.PullOrders(request, metadata=metadata)
            tasks = [group.create_task(acknowledge(reply.deliveries)) async for reply in replies if reply.deliveries]
            await asyncio.gather(*tasks)
    return seen.rate(count)


async def pull_with_client(place: Place, batch: int) -> Reading:
    """Pull as a worker is written: order by order, each acknowledged on its own."""
    count = 0

    async def acknowledge(delivery: Held) -> None:
        nonlocal count
        await delivery.acknowledge(f"SO-{delivery.order.external_id}")
        count += 1

    async with place.worker() as worker:
        with stretch(place.pids) as seen:
            async with (
                worker.orders.pull(
                    "bench", batch_size=batch, max_outstanding=2 * batch, lease_seconds=120, until_empty=True
                ) as deliveries,
                asyncio.TaskGroup() as group,
            ):
                async for delivery in deliveries:
                    group.create_task(acknowledge(delivery))
    return seen.rate(count)


def _acknowledgement(delivery: Delivery) -> pb.Acknowledgement:
    order = delivery.order
    return pb.Acknowledgement(
        order_id=order.id, lease_token=delivery.lease_token, erp_document=f"SO-{order.external_id}"
    )


def _check(reading: Reading, expected: int) -> None:
    done = round(reading.values["per_second"] * reading.values["seconds"])
    if done != expected:
        raise WorkFailedError(f"{done} of {expected} orders were acknowledged")
