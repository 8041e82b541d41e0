"""Orders under their locks: what a unit of work finds, changes and tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from tandem_proto.tracing import link
from tandem_server.domain.principals import Caller
from tandem_server.storage import deliveries, events
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import Event, EventType


class Draft(dict[str, Any]):
    """A row as it now is, by column; `changes` is what was set since it was read."""

    def __init__(self, row: Any) -> None:
        super().__init__(vars(row) if row else ())
        self.changes: dict[str, Any] = {}

    def __setitem__(self, column: str, value: Any) -> None:
        super().__setitem__(column, value)
        self.changes[column] = value

    def update(self, *values: Any, **more: Any) -> None:
        """Set several columns at once."""
        super().update(*values, **more)
        self.changes.update(*values, **more)


class Held:
    """One locked order. What is set in `delivery` or `order` is read back from there, and stored by `store`."""

    def __init__(self, delivery: Any, order: Any = None) -> None:
        self.id: str = delivery.order_id
        self.delivery, self.order = Draft(delivery), Draft(order)
        self.events: list[Event] = []

    @property
    def row(self) -> SimpleNamespace:
        """The delivery as it now is, as rows are read."""
        return SimpleNamespace(**self.delivery)

    @property
    def went_on(self) -> bool:
        """The order was changed after it was leased."""
        return bool(self.delivery["revision"] > self.delivery["leased_revision"])

    @property
    def calls_off(self) -> bool:
        """The latest lease was for a cancel that the CRM asked for and still does."""
        return self.order["cancel_requested_at"] is not None and not self.went_on

    def tell(self, event: EventType, /, *, revision: int = 0, **detail: Any) -> None:
        """Write a line of the timeline, with what is not empty of *detail*; by default it is about what was leased."""
        told = {name: value for name, value in detail.items() if value not in (None, "", [])}
        seq, attempt = self.delivery["next_seq"], self.delivery["attempts"]
        revision = revision or self.delivery["leased_revision"] or self.delivery["revision"]
        self.events.append(Event(self.id, seq, event, revision, attempt, told))
        self.delivery["next_seq"] = seq + 1

    def end_lease(self) -> None:
        """Take the order from whoever holds it."""
        self.delivery.update(lease_token=None, lease_expires_at=None, leased_by=None)


async def hold(tx: Transaction, erp: str | None, ids: Iterable[str]) -> dict[str, Held]:
    """Lock the orders of *erp* (None: of any) among *ids* and return them by id."""
    rows = await deliveries.lock(tx, erp, ids)
    heads = await deliveries.heads(tx, rows) if rows else {}
    return {order_id: Held(row, heads[order_id]) for order_id, row in rows.items()}


async def store(tx: Transaction, caller: Caller, all_held: Iterable[Held]) -> None:
    """Store what was changed and told of orders; a changed order counts its version."""
    changed = [held for held in all_held if held.delivery.changes]
    now = await tx.now()
    for held in changed:
        if held.order.changes:
            held.order.update(version=held.order["version"] + 1, updated_at=now)
    await deliveries.store(
        tx,
        {held.id: held.delivery.changes for held in changed},
        {held.id: held.order.changes for held in changed if held.order.changes},
    )
    await events.append(tx, caller, (event for held in changed for event in held.events))
    tx.after_commit(lambda: link(held.order["traceparent"] for held in changed if "traceparent" in held.order))
