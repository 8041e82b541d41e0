"""Two servers on one MySQL are one Tandem: what is told to one is acted upon by the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from conftest import Party, new_party
from google.protobuf.timestamp_pb2 import Timestamp
from retail import a_customer, an_order, hand_over
from stack import Stack

from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, PullOrdersRequest
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem.erp.v1.status_update_pb2 import StatusUpdate, StatusUpdateOutcome

pytestmark = [
    pytest.mark.usefixtures("deadline"),
    pytest.mark.parametrize("database", ["mysql"], indirect=True, scope="session"),
]


@pytest.fixture(scope="module")
def other(stack: Stack, make_stack: Callable[..., Stack]) -> Stack:
    """A second server on the database of the first."""
    return make_stack(stack.environment["TANDEM_DATABASE_URL"])


@asynccontextmanager
async def pulling(party: Party, stack: Stack, held: int) -> AsyncIterator[asyncio.Queue[Delivery]]:
    """Pull from *stack*, holding at most *held* orders, into a queue."""
    arrived: asyncio.Queue[Delivery] = asyncio.Queue()
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        request = PullOrdersRequest(worker="w", max_outstanding=held, batch_size=held)
        call = ErpServiceStub(channel).PullOrders(request, metadata=(("authorization", f"Bearer {party.erp_key}"),))
        await anext(aiter(call))  # the heartbeat: the stream is open

        async def read() -> None:
            async for batch in call:
                for delivery in batch.deliveries:
                    arrived.put_nowait(delivery)

        reading = asyncio.create_task(read())
        yield arrived
        call.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def acknowledgement(delivery: Delivery) -> Acknowledgement:
    document = f"SO-{delivery.order.external_id}"
    return Acknowledgement(order_id=delivery.order.id, lease_token=delivery.lease_token, erp_document=document)


async def test_an_order_created_on_one_reaches_a_stream_on_the_other(stack: Stack, other: Stack) -> None:
    party = new_party(stack)
    async with party.crm() as crm, pulling(party, other, held=10) as arrived:
        await crm.customers.upsert(a_customer())
        for _ in range(3):
            order = await crm.orders.create(an_order())
            created = time.monotonic()
            async with asyncio.timeout(5):
                assert (await arrived.get()).order.id == order.id
            assert time.monotonic() - created < 1


async def test_an_acknowledgement_on_one_makes_room_on_the_other(stack: Stack, other: Stack) -> None:
    party = new_party(stack)
    async with party.crm() as crm, party.worker(other) as worker, pulling(party, stack, held=1) as arrived:
        await hand_over(crm, 3)
        delivery = await arrived.get()
        for _ in range(2):
            await asyncio.sleep(0.3)
            assert arrived.empty()
            await worker.erp.acknowledge([acknowledgement(delivery)])
            acknowledged = time.monotonic()
            async with asyncio.timeout(5):
                delivery = await arrived.get()
            assert time.monotonic() - acknowledged < 1.5


async def test_what_is_parked_on_one_is_applied_by_an_acknowledgement_on_the_other(stack: Stack, other: Stack) -> None:
    party = new_party(stack)
    async with party.crm() as crm, party.worker() as here, party.worker(other) as there:
        orders = await hand_over(crm, 20)
        leased = list(await there.erp.lease("w"))
        updates = [
            StatusUpdate(
                event_id=f"shipped-{order.external_id}",
                erp_document=f"SO-{order.external_id}",
                status=OrderStatus.ORDER_STATUS_SHIPPED,
                occurred_at=Timestamp(seconds=1_700_000_000),
            )
            for order in orders
        ]
        telling = [here.erp.update_status([update]) for update in updates]
        acknowledging = [there.erp.acknowledge([acknowledgement(delivery)]) for delivery in leased]
        replies, _ = await asyncio.gather(asyncio.gather(*telling), asyncio.gather(*acknowledging))
        told = {result.outcome for reply in replies for result in reply}
        assert told <= {
            StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_PARKED,
            StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_APPLIED,
        }
        async with asyncio.timeout(5):
            for order in orders:
                while (await crm.orders.get(order.id)).status != OrderStatus.ORDER_STATUS_SHIPPED:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
