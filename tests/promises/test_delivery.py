"""Promises 2 to 8 and 11: an order is delivered, to one worker at a time, until it is acknowledged."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterable, Callable
from itertools import pairwise

import grpc
import pytest
from conftest import Party, new_party
from retail import a_customer, an_order, hand_over
from stack import Stack

from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementOutcome,
    PullOrdersRequest,
    PullOrdersResponse,
    Rejection,
    RejectionOutcome,
)
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem.erp.v1.lease_requests_pb2 import LeaseExtension, LeaseExtensionOutcome
from tandem_client import Tandem

pytestmark = pytest.mark.usefixtures("deadline")


def acknowledgement(delivery: Delivery) -> Acknowledgement:
    return Acknowledgement(
        order_id=delivery.order.id, lease_token=delivery.lease_token, erp_document=f"SO-{delivery.order.external_id}"
    )


async def outcomes(worker: Tandem, deliveries: list[Delivery]) -> set[str]:
    """Acknowledge *deliveries* and return the outcomes' short names."""
    results = await worker.erp.acknowledge([acknowledgement(delivery) for delivery in deliveries])
    return {AcknowledgementOutcome.Name(r.outcome).removeprefix("ACKNOWLEDGEMENT_OUTCOME_") for r in results}


async def test_promise_3_one_holder_at_a_time(stacks: list[Stack]) -> None:
    """16 workers on two servers, leases of 1 s, work of 0 to 2 s: no two holding intervals of an order overlap."""
    party = new_party(stacks[0])
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        await asyncio.gather(*(crm.orders.create(an_order(lines=1)) for _ in range(1000)))
    held: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    ends = time.time() + 10

    async def work(number: int) -> None:
        async with party.worker(stacks[number % 2]) as worker:
            while time.time() < ends:
                leased = await worker.erp.lease(f"w{number}", max_orders=20, lease_seconds=1, wait_seconds=1)
                since = time.time()
                await asyncio.sleep(random.uniform(0, 2))
                until = time.time()
                if leased:
                    await outcomes(worker, list(leased))
                for delivery in leased:
                    expiry = delivery.lease_expires_at.ToNanoseconds() / 1e9
                    held[delivery.order.id].append((since, min(until, expiry), delivery.attempt))

    await asyncio.gather(*(work(number) for number in range(16)))
    assert len(held) == 1000
    assert sum(len(intervals) > 1 for intervals in held.values()) > 50
    for intervals in held.values():
        intervals.sort()
        for (_, end, attempt), (start, _, later) in pairwise(intervals):
            assert end <= start
            assert attempt < later


async def test_promise_4_a_crashed_worker_costs_one_lease(stacks: list[Stack]) -> None:
    party = new_party(stacks[0])
    async with party.crm() as crm, party.worker(stacks[1]) as other:
        made = {order.id for order in await hand_over(crm, 30)}
        channel = grpc.aio.insecure_channel(party.stack.grpc)
        request = PullOrdersRequest(worker="doomed", lease_seconds=2)
        call = ErpServiceStub(channel).PullOrders(request, metadata=(("authorization", f"Bearer {party.erp_key}"),))
        lost: set[str] = set()
        async for batch in call:
            lost |= {delivery.order.id for delivery in batch.deliveries}
            if lost == made:
                break
        crashed = time.monotonic()
        await channel.close()
        back: dict[str, int] = {}
        while len(back) < 30 and time.monotonic() - crashed < 6:
            leased = await other.erp.lease("other", lease_seconds=60, wait_seconds=1)
            back |= {delivery.order.id: delivery.attempt for delivery in leased}
        assert time.monotonic() - crashed < 4
        assert back == dict.fromkeys(made, 2)


async def test_promise_5_acknowledged_is_final(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    """After a restart and two leases nothing comes again, from any server; the same acknowledgement again is fine."""
    stack = make_stack(make_database(database))
    others = [] if database == "sqlite" else [make_stack(stack.environment["TANDEM_DATABASE_URL"])]
    party = new_party(stack)
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, 10)
        leased = list(await worker.erp.lease("w", lease_seconds=1))
        assert await outcomes(worker, leased) == {"ACKNOWLEDGED"}
    stack.server.stop()
    stack.server.start()
    stack.wait_until_ready()
    await asyncio.sleep(2)
    for each in (stack, *others):
        async with party.worker(each) as worker:
            assert list(await worker.erp.lease("w", lease_seconds=1)) == []
            assert await outcomes(worker, leased) == {"ALREADY_ACKNOWLEDGED"}
            assert list(await worker.erp.lease("w", wait_seconds=1)) == []
        each.stop()


async def test_promise_6_a_stale_holder_is_fenced(stacks: list[Stack]) -> None:
    party = new_party(stacks[0])
    async with party.crm() as crm, party.worker() as slow, party.worker(stacks[1]) as fast:
        await hand_over(crm, 5)
        stale = list(await slow.erp.lease("slow", lease_seconds=1))
        await asyncio.sleep(1.1)
        fresh = list(await fast.erp.lease("fast", lease_seconds=60))
        assert len(stale) == len(fresh) == 5
        assert await outcomes(slow, stale) == {"STALE_LEASE"}
        rejected = await slow.erp.reject([refusal(delivery) for delivery in stale])
        assert {result.outcome for result in rejected} == {RejectionOutcome.REJECTION_OUTCOME_STALE_LEASE}
        extended = await slow.erp.extend([extension(delivery) for delivery in stale])
        assert {r.outcome for r in extended} == {LeaseExtensionOutcome.LEASE_EXTENSION_OUTCOME_STALE_LEASE}
        assert await outcomes(fast, fresh) == {"ACKNOWLEDGED"}


def refusal(delivery: Delivery, code: str = "UNKNOWN_SKU") -> Rejection:
    return Rejection(order_id=delivery.order.id, lease_token=delivery.lease_token, code=code, reason="no such article")


def extension(delivery: Delivery) -> LeaseExtension:
    return LeaseExtension(order_id=delivery.order.id, lease_token=delivery.lease_token)


async def test_promise_7_a_worker_never_holds_more_than_it_asked_for(party: Party) -> None:
    """However slowly it reads and however long nothing is acknowledged."""
    async with party.crm() as crm:
        await hand_over(crm, 40)
    key = (("authorization", f"Bearer {party.erp_key}"),)
    held: list[Delivery] = []
    async with grpc.aio.insecure_channel(party.stack.grpc) as channel, party.worker() as worker:
        request = PullOrdersRequest(worker="slow", max_outstanding=7, batch_size=3)
        call = ErpServiceStub(channel).PullOrders(request, metadata=key)
        await asyncio.sleep(1.5)
        reading = asyncio.create_task(read_into(held, call))
        await asyncio.sleep(1.5)
        assert len(held) == 7
        assert await outcomes(worker, held[:4]) == {"ACKNOWLEDGED"}
        await asyncio.sleep(1.5)
        assert len(held) == 11
        call.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def read_into(held: list[Delivery], call: AsyncIterable[PullOrdersResponse]) -> None:
    async for batch in call:
        held.extend(batch.deliveries)


async def test_promise_8_work_may_take_longer_than_a_lease(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker, party.worker() as other:
        await hand_over(crm, 1)
        (delivery,) = await worker.erp.lease("patient", lease_seconds=1)
        for _ in range(6):
            await asyncio.sleep(0.5)
            (result,) = await worker.erp.extend([extension(delivery)], lease_seconds=1)
            assert result.outcome == LeaseExtensionOutcome.LEASE_EXTENSION_OUTCOME_EXTENDED
            assert list(await other.erp.lease("other")) == []
        stopped = time.monotonic()
        (again,) = await other.erp.lease("other", wait_seconds=5)
        assert again.order.id == delivery.order.id
        assert 0.8 < time.monotonic() - stopped < 3


async def test_promise_11_a_poison_order_blocks_nobody(party: Party) -> None:
    """It backs off while others pass, and after ten failures it is a dead letter that everybody can see."""
    async with party.crm() as crm, party.worker() as worker:
        (poison,) = await hand_over(crm, 1)
        for failure in range(1, 3):
            (delivery,) = await worker.erp.lease("w")
            assert (delivery.order.id, delivery.attempt) == (poison.id, failure)
            (result,) = await worker.erp.reject([refusal(delivery)])
            assert result.outcome == RejectionOutcome.REJECTION_OUTCOME_REJECTED
        others = {order.id for order in await hand_over(crm, 50)}
        leased = list(await worker.erp.lease("w"))
        assert {delivery.order.id for delivery in leased} == others
        seen = await crm.orders.get(poison.id)
        assert seen.delivery.last_code == "UNKNOWN_SKU"
        assert seen.delivery.next_attempt_at.ToNanoseconds() / 1e9 > time.time() + 20
