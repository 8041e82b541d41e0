"""Promises 2, 15, 16 and 19: what is written is delivered, counted once, never lost, and listed once."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from conftest import Party, new_party
from retail import a_customer, an_order, hand_over
from stack import Stack

from tandem.crm.v1.customer_pb2 import Customer
from tandem_client import EtagMismatch, Tandem
from tandem_server.domain.principals import SCOPES, Caller, Principal
from tandem_server.domain.routing import parse_routes
from tandem_server.rpc import contents
from tandem_server.storage.database import Database, Transaction
from tandem_server.usecases import orders

pytestmark = pytest.mark.usefixtures("deadline")


async def test_promise_2_nothing_is_skipped(stacks: list[Stack], database: str) -> None:
    """Writers hold their transactions open for a while: each order is delivered within 5 s of its commit."""
    party = new_party(stacks[0])
    longest, writers, rounds = (4.0, 8, 3) if database == "mysql" else (0.3, 2, 6)
    committed: dict[str, float] = {}
    delivered: dict[str, float] = {}
    caller = Caller(Principal("crm", source=party.source, erp=None, scopes=SCOPES["crm"]))
    routes = parse_routes(party.stack.environment["TANDEM_ROUTES"])
    outside = Database(party.stack.environment["TANDEM_DATABASE_URL"], pool_size=writers, transaction_seconds=20)

    async def write() -> None:
        for _ in range(rounds):
            new = orders.NewOrder(contents.order(an_order(lines=1)), 200, caller)
            linger = random.uniform(0, longest)

            async def unit(tx: Transaction, new: orders.NewOrder = new, linger: float = linger) -> str:
                (result,) = await orders.create(tx, routes, [new])
                assert isinstance(result, orders.Created)
                await asyncio.sleep(linger)
                return str(result.stored.order.id)

            committed[await outside.write(unit)] = time.monotonic()

    async def pull() -> None:
        async with party.worker(stacks[1]) as worker, worker.orders.pull("w") as deliveries:
            async for delivery in deliveries:
                delivered.setdefault(delivery.order.id, time.monotonic())
                await delivery.acknowledge(erp_document=delivery.order.id)

    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
    pulling = asyncio.create_task(pull())
    await asyncio.gather(*(write() for _ in range(writers)))
    await asyncio.sleep(5)
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)
    await outside.close()
    assert delivered.keys() == committed.keys()
    assert len(committed) == writers * rounds
    assert max(delivered[order] - committed[order] for order in committed) < 5


async def test_promise_15_unknown_outcomes_are_safe_to_repeat(party: Party) -> None:
    """2,000 creates, each cancelled after 0 to 20 ms and repeated until it says OK: exactly 2,000 orders."""
    slots = asyncio.Semaphore(16)
    cancelled = 0

    async def create(crm: Tandem, number: int) -> str:
        nonlocal cancelled
        order = an_order(f"{number}", lines=1)
        async with slots:
            for attempt in range(100):
                patience = random.uniform(0, 0.02) if attempt < 2 else 20
                try:
                    async with asyncio.timeout(patience):
                        return (await crm.orders.create(order)).id
                except TimeoutError:
                    cancelled += 1
        raise AssertionError

    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        ids = await asyncio.gather(*(create(crm, number) for number in range(2000)))
        listed = [order.id async for order in crm.orders.list(page_size=1000)]
    assert cancelled > 1000
    assert sorted(listed) == sorted(ids)
    assert len(set(ids)) == 2000


async def test_promise_16_no_silent_lost_update(party: Party) -> None:
    """8 writers count one number up with etags: it ends at the number of OK replies, and losers learn the etag."""
    told: list[str] = []
    wins = 0
    async with party.crm() as crm:
        customer = await crm.customers.create(a_customer())

        async def count(turns: int) -> None:
            nonlocal wins
            current = customer
            while turns:
                phone = str(int(current.phone or 0) + 1)
                try:
                    current = await crm.customers.update(current.id, Customer(phone=phone), etag=current.etag)
                    wins, turns = wins + 1, turns - 1
                except EtagMismatch as mismatch:
                    current = await crm.customers.get(customer.id)
                    told.append(mismatch.metadata["etag"])

        await asyncio.gather(*(count(10) for _ in range(8)))
        final = await crm.customers.get(customer.id)
    assert (final.phone, wins) == ("80", 80)
    assert len(told) > 8
    assert set(told) <= {f"v{version}" for version in range(2, 82)}


async def test_promise_19_lists_are_honest(party: Party) -> None:
    """While others insert, whatever existed throughout is listed exactly once, in both directions."""
    async with party.crm() as crm:
        before = {order.id for order in await hand_over(crm, 60)}
        inserted: list[str] = []

        async def insert() -> None:
            while True:
                inserted.append((await crm.orders.create(an_order(lines=1))).id)

        inserting = [asyncio.create_task(insert()) for _ in range(4)]
        while len(inserted) <= 10:
            for order_by in ("created_at", "created_at desc"):
                seen = []
                async for order in crm.orders.list(page_size=7, order_by=order_by):
                    seen.append(order.id)
                    if len(seen) > 400:
                        break
                assert len(seen) == len(set(seen))
                if order_by == "created_at":
                    assert before <= set(seen)
        for task in inserting:
            task.cancel()
        await asyncio.wait(inserting)
        assert all(task.cancelled() for task in inserting)
        everything = [order.id async for order in crm.orders.list(page_size=50, order_by="created_at desc")]
        assert before <= set(everything)
        assert len(everything) == len(set(everything))
