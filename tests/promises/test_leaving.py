"""Promise 9: who leaves on purpose frees what it had not done; a cut stream and a drain take nothing from a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import grpc
import pytest
from conftest import Party, new_party
from retail import hand_over
from stack import Stack

from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import (
    Acknowledgement,
    AcknowledgementOutcome,
    PullOrdersRequest,
    PullOrdersResponse,
)
from tandem.erp.v1.erp_service_pb2_grpc import ErpServiceStub
from tandem_client import Tandem

pytestmark = pytest.mark.usefixtures("deadline")

Pull = grpc.aio.UnaryStreamCall[PullOrdersRequest, PullOrdersResponse]


async def acknowledge(worker: Tandem, deliveries: list[Delivery]) -> set[str]:
    told = [
        Acknowledgement(order_id=each.order.id, lease_token=each.lease_token, erp_document=f"SO-{each.order.id}")
        for each in deliveries
    ]
    return {AcknowledgementOutcome.Name(result.outcome) for result in await worker.erp.acknowledge(told)}


async def held_by_stream(party: Party, channel: grpc.aio.Channel, count: int) -> tuple[Pull, list[Delivery]]:
    """Open a stream, and read on until it holds *count* orders."""
    request = PullOrdersRequest(worker="first", max_outstanding=count, batch_size=count, lease_seconds=30)
    call = ErpServiceStub(channel).PullOrders(request, metadata=(("authorization", f"Bearer {party.erp_key}"),))
    held: list[Delivery] = []
    while len(held) < count:
        held += (await anext(aiter(call))).deliveries
    return call, held


async def test_promise_9_a_worker_that_leaves_frees_what_it_had_not_done(party: Party) -> None:
    async with party.crm() as crm, party.worker() as leaver, party.worker() as other:
        made = {order.id for order in await hand_over(crm, 20)}
        async with leaver.orders.pull("leaver", max_outstanding=20) as deliveries:
            done = await anext(aiter(deliveries))
            await done.acknowledge("SO-1")
        left, back = time.monotonic(), set[str]()
        while len(back) < 19 and time.monotonic() - left < 2:
            back |= {delivery.order.id for delivery in await other.erp.lease("other")}
        assert back == made - {done.order.id}


async def test_promise_9_a_cut_stream_takes_nothing_from_its_worker(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker, grpc.aio.insecure_channel(party.stack.grpc) as channel:
        made = {order.id for order in await hand_over(crm, 10)}
        call, held = await held_by_stream(party, channel, 4)
        call.cancel()
        others = list(await worker.erp.lease("other", wait_seconds=2))
        assert {delivery.order.id for delivery in others} == made - {delivery.order.id for delivery in held}
        assert await acknowledge(worker, held) == {"ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED"}


async def test_promise_9_a_drain_takes_nothing_from_a_worker(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    stack = make_stack(make_database(database))
    party = new_party(stack)
    async with party.crm() as crm, grpc.aio.insecure_channel(stack.grpc) as channel:
        made = {order.id for order in await hand_over(crm, 10)}
        call, held = await held_by_stream(party, channel, 4)
        await asyncio.to_thread(stack.server.stop)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await anext(aiter(call))
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    stack.server.start()
    stack.wait_until_ready()
    async with party.worker() as worker:
        others = list(await worker.erp.lease("other"))
        assert {delivery.order.id for delivery in others} == made - {delivery.order.id for delivery in held}
        assert await acknowledge(worker, held) == {"ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED"}
    stack.stop()
