"""Promises 1 and 3 under `kill -9`: what was said to be done is done, and nobody holds what another holds."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from conftest import Party, change_database, new_party
from retail import a_customer, an_order
from stack import Stack

from tandem.crm.v1.order_pb2 import Order
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement, AcknowledgementOutcome
from tandem_client import TandemError

ORDERS = 1000
KILLS = 10
DONE = {
    AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ACKNOWLEDGED,
    AcknowledgementOutcome.ACKNOWLEDGEMENT_OUTCOME_ALREADY_ACKNOWLEDGED,
}


@dataclass
class Ledger:
    """What the server said was done. `held` has every (order, attempt) that a worker was handed."""

    created: dict[str, Order] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    handed_out_after: list[str] = field(default_factory=list)
    held: list[tuple[str, int]] = field(default_factory=list)


async def create(party: Party, ledger: Ledger, numbers: list[int]) -> None:
    """Create orders, each until the server says OK."""
    async with party.crm() as crm:
        while numbers:
            number = numbers[-1]
            try:
                order = await crm.orders.create(an_order(f"{number}", lines=3))
            except TandemError:
                await asyncio.sleep(0.05)
                continue
            ledger.created[order.id] = order
            if number in numbers:
                numbers.remove(number)


async def work(party: Party, ledger: Ledger, name: str, finished: asyncio.Event) -> None:
    """Lease and acknowledge; an acknowledgement whose reply was lost is sent again."""
    async with party.worker() as worker:
        while not finished.is_set():
            try:
                leased = await worker.erp.lease(name, max_orders=20, lease_seconds=2, wait_seconds=1)
            except TandemError:
                await asyncio.sleep(0.05)
                continue
            for delivery in leased:
                ledger.held.append((delivery.order.id, delivery.attempt))
                if delivery.order.id in ledger.acknowledged:
                    ledger.handed_out_after.append(delivery.order.id)
            if leased:
                await asyncio.sleep(random.uniform(0, 0.1))
                await acknowledge(party, ledger, list(leased))


async def acknowledge(party: Party, ledger: Ledger, leased: list[Delivery]) -> None:
    items = [Acknowledgement(order_id=d.order.id, lease_token=d.lease_token, erp_document=d.order.id) for d in leased]
    async with party.worker() as worker:
        for _ in range(200):
            try:
                results = await worker.erp.acknowledge(items)
            except TandemError:
                await asyncio.sleep(0.05)
                continue
            done = {result.order_id for result in results if result.outcome in DONE}
            ledger.acknowledged |= {d.order.id: d.order.id for d in leased if d.order.id in done}
            return


@pytest.mark.usefixtures("deadline")
async def test_promise_1_what_was_said_to_be_done_survives_kill_9(
    database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> None:
    """The server is killed ten times in the middle of 1,000 creates and of a pull."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - whoever sees a failure needs it
    chance = random.Random(seed)
    stack = make_stack(make_database(database))
    party, ledger, finished = new_party(stack), Ledger(), asyncio.Event()
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
    numbers = list(range(ORDERS))
    workers = [asyncio.create_task(work(party, ledger, f"w{n}", finished)) for n in range(4)]
    creators = [asyncio.create_task(create(party, ledger, numbers)) for _ in range(8)]
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 1))
        stack.server.stop(signal.SIGKILL)
        stack.server.start()
        await asyncio.to_thread(stack.wait_until_ready)
    await asyncio.gather(*creators)
    await until_all_are_acknowledged(stack, ledger)
    finished.set()
    await asyncio.gather(*workers)
    await check(party, ledger)
    stack.stop()


async def until_all_are_acknowledged(stack: Stack, ledger: Ledger) -> None:
    """What was lost twice backs off for half a minute: it is fetched sooner."""
    while len(ledger.acknowledged) < ORDERS:
        await asyncio.sleep(1)
        change_database(stack, "UPDATE deliveries SET available_at = lease_expires_at WHERE lease_token IS NOT NULL")


async def check(party: Party, ledger: Ledger) -> None:
    """Compare what is stored with what the server said."""
    async with party.crm() as crm:
        stored = {order.id: order async for order in crm.orders.list(page_size=1000)}
    assert len(stored) == ORDERS
    assert len(ledger.created) == ORDERS, "an order was created twice, or an OK was given for one that is gone"
    for order_id, said in ledger.created.items():
        assert stored[order_id].lines == said.lines
        assert stored[order_id].total == said.total
        assert stored[order_id].erp_document == ledger.acknowledged[order_id]
    assert len(ledger.held) == len(set(ledger.held)), "one lease was handed out twice"
    assert ledger.handed_out_after == []
