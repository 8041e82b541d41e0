"""An order under its lock, whole, and the next revision of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tandem_proto.errors import NotFound
from tandem_server.domain.erasure import refusal
from tandem_server.storage import deliveries, orders
from tandem_server.storage.database import Transaction
from tandem_server.storage.orders import StoredOrder
from tandem_server.usecases.held import Held


@dataclass
class Locked:
    """One order that nobody else can change: what is set in `held` stands in `stored` too."""

    held: Held
    lines: Iterable[Any]

    @property
    def stored(self) -> StoredOrder:
        """The order as it now is."""
        header, delivery = SimpleNamespace(**self.held.order), SimpleNamespace(**self.held.delivery)
        return StoredOrder(header, list(self.lines), delivery)


async def lock(tx: Transaction, source: str, *, order_id: str = "", external_id: str = "") -> Locked:
    """Lock the order of *source* with one of the two ids. Raises NotFound, and refuses an erased one."""
    place = await orders.whereabouts(tx, source, order_id=order_id, external_id=external_id)
    if place is None:
        raise NotFound(f"there is no order {order_id or external_id}")
    await deliveries.lock(tx, place.erp, [place.id])
    stored = (await orders.load(tx, [place.id]))[place.id]
    if stored.order.erased_at is not None:
        raise refusal()
    return Locked(Held(stored.delivery, stored.order), stored.lines)


async def revise(tx: Transaction, locked: Locked, lines: Iterable[dict[str, Any]]) -> int:
    """Count a revision, which has *lines*, and return it. It waits for the ERP, unless somebody holds the order now."""
    order, delivery = locked.held.order, locked.held.delivery
    revision = int(delivery["revision"]) + 1
    order["revision"] = delivery["revision"] = revision
    rows = [{**line, "order_id": locked.held.id, "revision": revision} for line in lines]
    await orders.add_lines(tx, rows)
    await orders.supersede(tx, locked.held.id, revision - 1)
    locked.lines = [SimpleNamespace(**row) for row in rows]
    now = await tx.now()
    if delivery["lease_token"] is None or delivery["lease_expires_at"] <= now:
        # What waits already keeps its place: it may be amended often.
        delivery.update(available_at=min(delivery["available_at"] or now, now), failures=0, dead_at=None)
    return revision
