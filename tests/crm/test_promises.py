"""Promises 12 and 16 for orders: no amendment is lost on its way to the ERP, and none is overwritten unseen."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from conftest import Party
from retail import hand_over

from tandem.crm.v1.order_event_pb2 import OrderEventType
from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import DeliveryState
from tandem.erp.v1.delivery_pb2 import Delivery
from tandem_client import EtagMismatch, Tandem

from .erp import acknowledge, reject

pytestmark = pytest.mark.usefixtures("deadline")

ORDERS = 20
BUSY_SECONDS = 3.5
LATE = {DeliveryState.DELIVERY_STATE_BACKING_OFF, DeliveryState.DELIVERY_STATE_DEAD}
"""Where an order would wait longer than a test does: an amendment brings it back at once."""


@dataclass
class Record:
    """What the ERP was handed, what of it was acknowledged, and what the CRM said of each revision."""

    delivered: dict[str, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    told: dict[tuple[str, int], Order] = field(default_factory=dict)
    careless: bool = True
    finished: bool = False


async def work(party: Party, name: str, record: Record) -> None:
    """Take orders and acknowledge, reject or forget them, often when the lease is over."""
    async with party.worker() as worker:
        while not record.finished:
            leased = list(await worker.erp.lease(name, max_orders=3, lease_seconds=1, wait_seconds=1))
            for delivery in leased:
                record.delivered[delivery.order.id].append(delivery)
            await asyncio.sleep(random.uniform(0, 1.2) if record.careless else 0)
            for delivery in leased:
                await finish(worker, delivery, record)


async def finish(worker: Tandem, delivery: Delivery, record: Record) -> None:
    choice = random.random() if record.careless else 1
    if choice < 0.2:
        await reject(worker, delivery)
    elif choice > 0.4 and await acknowledge(worker, delivery) == "ACKNOWLEDGED":
        record.acknowledged[delivery.order.id].append(delivery)


async def amend(crm: Tandem, orders: list[Order], record: Record) -> None:
    """Change one of *orders* now and then."""
    while record.careless:
        await change(crm, random.choice(orders), record)
        await asyncio.sleep(random.uniform(0, 0.05))


async def change(crm: Tandem, order: Order, record: Record) -> None:
    line = OrderLine(sku="71053", quantity=str(random.randrange(1, 1000)), unit_price="3.39")
    changed = await crm.orders.amend(order.id, Order(lines=[line] * random.randrange(1, 4), note=str(random.random())))
    record.told[changed.id, changed.revision] = changed


async def test_promise_12_no_amendment_is_lost_whenever_it_came(party: Party) -> None:
    record = Record()
    async with party.crm() as crm:
        orders = await hand_over(crm, ORDERS)
        record.told |= {(order.id, 1): order for order in orders}
        working = [asyncio.create_task(work(party, f"w{number}", record)) for number in range(4)]
        amending = [asyncio.create_task(amend(crm, orders, record)) for _ in range(2)]
        await asyncio.sleep(BUSY_SECONDS)
        record.careless = False
        await asyncio.gather(*amending)
        await asyncio.sleep(1.5)  # what was forgotten is free again
        async for order in crm.orders.list():
            if order.delivery.state in LATE:
                await change(crm, order, record)
        await all_done(crm)
        record.finished = True
        await asyncio.gather(*working)
        for order in orders:
            check(record, await crm.orders.get(order.id))
    assert sum(map(len, record.delivered.values())) > 3 * ORDERS


async def all_done(crm: Tandem) -> None:
    """Return when the ERP has acknowledged every order as it is."""
    for _ in range(200):
        if all([order.delivery.state == DeliveryState.DELIVERY_STATE_DONE async for order in crm.orders.list()]):
            return
        await asyncio.sleep(0.1)
    raise AssertionError


def check(record: Record, stored: Order) -> None:
    delivered = sorted(record.delivered[stored.id], key=lambda delivery: delivery.attempt)
    assert all(a.revision <= b.revision and a.attempt < b.attempt for a, b in pairwise(delivered))
    for done in record.acknowledged[stored.id]:
        assert all(later.revision > done.revision for later in delivered if later.attempt > done.attempt)
    for delivery in delivered:
        said = record.told[stored.id, delivery.revision]
        assert (delivery.order.note, delivery.order.lines) == (said.note, said.lines)
        assert (delivery.order.total, delivery.order.revision) == (said.total, said.revision)
    last = delivered[-1]
    assert (last.revision, last.order.lines, last.order.note) == (stored.revision, stored.lines, stored.note)
    assert record.acknowledged[stored.id][-1] == last


async def test_promise_16_no_silent_lost_update(party: Party) -> None:
    """8 writers with etags on one order: its timeline shows exactly the OK replies; losers learn the current etag."""
    won: dict[int, str] = {}
    lost: list[str] = []
    async with party.crm() as crm:
        (order,) = await hand_over(crm, 1)

        async def write(number: int) -> None:
            current, turns = order, 5
            while turns:
                try:
                    note = f"{number}-{turns}"
                    current = await crm.orders.amend(order.id, Order(note=note), etag=current.etag)
                    assert current.note == note
                    won[current.revision], turns = note, turns - 1
                except EtagMismatch as mismatch:
                    lost.append(mismatch.metadata["etag"])
                    current = await crm.orders.get(order.id)

        await asyncio.gather(*(write(number) for number in range(8)))
        events = [event async for event in crm.orders.events(order.id)]
        final = await crm.orders.get(order.id)
    amended = [event for event in events if event.type == OrderEventType.ORDER_EVENT_TYPE_AMENDED]
    assert [event.revision for event in amended] == sorted(won) == list(range(2, 42))
    assert (final.revision, final.note) == (41, won[41])
    assert set(lost) <= {f"v{version}" for version in range(2, 42)}
    assert len(lost) > 8
