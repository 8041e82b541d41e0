"""The ERP: takes orders over, ships them, and keeps its own books."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from rich.progress import Progress

from retailer.books import Entry
from retailer.progress import Pace
from tandem.erp.v1.status_update_pb2 import StatusUpdateOutcome
from tandem_client import Delivery, Order, OrderStatus, StatusUpdate, Tandem

BATCH = 500
PATIENCE_SECONDS = 90
"""Longer than a lease: what another worker lost comes within that time."""
SHIPPED = {
    StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_APPLIED,
    StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_STALE,
    StatusUpdateOutcome.STATUS_UPDATE_OUTCOME_DUPLICATE,
}


class Erp:
    """An ERP with empty books."""

    def __init__(self, tandem: Tandem, progress: Progress) -> None:
        self._tandem = tandem
        self.taken = Pace(progress, "orders taken over")
        self.shipped = Pace(progress, "orders shipped")
        self.books: dict[str, Entry] = {}
        self.deliveries = 0
        self._acknowledged: set[str] = set()
        self._overdue = 0
        self._news = asyncio.Event()
        self._to_ship: asyncio.Queue[Order] = asyncio.Queue()

    async def work(self, *, until_empty: bool = False) -> None:
        """Take over what comes, for ever or until nothing waits."""
        async with (
            self._tandem.orders.pull(
                "retail-demo", batch_size=BATCH, max_outstanding=2 * BATCH, until_empty=until_empty
            ) as deliveries,
            asyncio.TaskGroup() as group,
        ):
            async for delivery in deliveries:
                group.create_task(self._take(delivery))

    async def _take(self, delivery: Delivery) -> None:
        order = delivery.order
        self.taken.start()
        self.deliveries += 1
        self.books[order.external_id] = Entry.counted(order.customer_external_id, order.lines)
        await delivery.acknowledge(document_of(order))
        self._acknowledged.add(order.external_id)
        self.taken.advance()
        self._news.set()
        self._to_ship.put_nowait(order)

    async def ship(self) -> None:
        """Ship what was taken over, many orders at a time, for ever."""
        while True:
            orders = [await self._to_ship.get()]
            while len(orders) < BATCH and not self._to_ship.empty():
                orders.append(self._to_ship.get_nowait())
            self.shipped.start()
            results = await self._tandem.erp.update_status(shipment(order) for order in orders)
            self.shipped.advance(sum(result.outcome in SHIPPED for result in results))
            for _ in orders:
                self._to_ship.task_done()

    def ship_later(self, orders: Iterable[Order]) -> None:
        """Put *orders* that were taken over before on the list of what is to ship."""
        for order in orders:
            self._overdue += 1
            self._to_ship.put_nowait(order)

    async def caught_up(self, expected: AbstractSet[str]) -> None:
        """Return when all *expected* orders are taken over and shipped, or when nothing has come for too long."""
        self.taken.expect(len(expected))
        self.shipped.expect(len(expected) + self._overdue)
        try:
            while expected - self._acknowledged:
                self._news.clear()
                await asyncio.wait_for(self._news.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            missing = len(expected - self._acknowledged)
            print(f"{missing} orders have not come to the ERP; none came for {PATIENCE_SECONDS} s", file=sys.stderr)
        await self._to_ship.join()


def document_of(order: Order) -> str:
    """Return the number of the document under which the ERP stores *order*."""
    return f"SO-{order.external_id}"


def shipment(order: Order) -> StatusUpdate:
    """Return the news that *order* has left, a day after it came; always the same, so that it counts once."""
    occurred_at = Timestamp()
    occurred_at.FromDatetime(order.ordered_at.ToDatetime() + timedelta(days=1))
    return StatusUpdate(
        event_id=f"shipped-{order.id}",
        order_id=order.id,
        status=OrderStatus.ORDER_STATUS_SHIPPED,
        occurred_at=occurred_at,
    )
