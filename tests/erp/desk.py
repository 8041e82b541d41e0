"""What an ERP and its CRM do, in a few words each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import insert, select, update

from tandem_server.domain.principals import SCOPES, Caller, Principal
from tandem_server.domain.routing import Routes
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.tables import deliveries, order_events, order_lines, orders
from tandem_server.usecases import customers
from tandem_server.usecases import orders as order_use_cases
from tandem_server.usecases.acknowledgements import Acknowledgement, acknowledge
from tandem_server.usecases.dead_letters import replay
from tandem_server.usecases.deliveries import Delivery, Demand, claim
from tandem_server.usecases.leases import Extension, Rejection, extend, reject
from tandem_server.usecases.statuses import Result, StatusUpdate
from tandem_server.usecases.statuses import update as update_statuses

MAX_FAILURES = 10
START = datetime(2024, 1, 1, tzinfo=UTC)
LONG_AGO = timedelta(hours=1)
NO_AMOUNT = Decimal(0)
LINE = {
    **dict.fromkeys(("external_id", "description", "unit", "tax_code", "warehouse", "note"), ""),
    "line_number": 1,
    "sku": "A-1",
    "quantity": Decimal(2),
    "unit_price": Decimal("1.50"),
    "attributes": {},
    **dict.fromkeys(("discount_amount", "tax_amount"), NO_AMOUNT),
}
ORDER: dict[str, Any] = {
    **dict.fromkeys(("number", "customer_reference", "shipping_method", "payment_terms", "payment_reference"), ""),
    **dict.fromkeys(("requested_delivery_date", "note", "customer_id"), ""),
    **dict.fromkeys(("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount"), NO_AMOUNT),
    **dict.fromkeys(("total", "ordered_at", "billing_address", "shipping_address")),
    "customer_external_id": "c",
    "currency": "EUR",
    "prices_include_tax": False,
    "attachments": [],
    "attributes": {},
    "lines": [LINE],
}
CUSTOMER: dict[str, Any] = {
    **dict.fromkeys(("type", "email", "phone", "tax_id", "currency", "payment_terms", "note"), ""),
    "external_id": "c",
    "name": "C",
    "inactive": False,
    "attributes": {},
    **dict.fromkeys(("billing_address", "shipping_address")),
}


@dataclass
class Desk:
    """An ERP, and the one source whose orders it gets."""

    database: Database
    erp: str
    counter: count[int]

    @classmethod
    async def opened(cls, database: Database, erp: str) -> Desk:
        desk = cls(database, erp, count(1))
        await database.write(lambda tx: customers.create(tx, desk.caller, CUSTOMER))
        return desk

    @property
    def caller(self) -> Caller:
        return Caller(Principal(self.erp, source=f"crm-{self.erp}", erp=self.erp, scopes=SCOPES["admin"]))

    async def place(self, number: int = 1, size: int = 100) -> list[str]:
        """Create orders and return their ids."""
        ids: list[str] = []
        for start in range(0, number, 500):
            new = [
                order_use_cases.NewOrder({**ORDER, "external_id": f"x{next(self.counter)}"}, size, self.caller)
                for _ in range(min(500, number - start))
            ]
            ids += await self._create(new)
        return ids

    async def _create(self, new: list[order_use_cases.NewOrder]) -> list[str]:
        routes = Routes({self.caller.source: self.erp})
        made = await self.database.write(lambda tx: order_use_cases.create(tx, routes, new))
        return [each.stored.order.id for each in made if isinstance(each, order_use_cases.Created)]

    async def claim(self, limit: int = 100, worker: str = "w", seconds: int = 60, **options: Any) -> list[Delivery]:
        demand = Demand(self.erp, worker, worker, limit, seconds)
        options = {"max_failures": MAX_FAILURES} | options
        return await self.database.write(lambda tx: claim(tx, self.caller, demand, **options))

    async def claim_one(self) -> str:
        """Claim the only order there is and return its token."""
        (delivery,) = await self.claim()
        return token_of(delivery)

    async def acknowledge(self, *items: Acknowledgement) -> list[str]:
        return [str(x) for x in await self.database.write(lambda tx: acknowledge(tx, self.caller, items))]

    async def reject(self, *items: Rejection) -> list[str]:
        return [
            str(x)
            for x in await self.database.write(lambda tx: reject(tx, self.caller, items, max_failures=MAX_FAILURES))
        ]

    async def extend(self, *held: tuple[str, str]) -> list[Extension]:
        return await self.database.write(lambda tx: extend(tx, self.caller, held, 60))

    async def replay(self, *ids: str) -> list[str]:
        return [str(x) for x in await self.database.write(lambda tx: replay(tx, self.caller, ids))]

    async def tell(self, *updates: StatusUpdate) -> list[Result]:
        return await self.database.write(lambda tx: update_statuses(tx, self.caller, updates))

    async def delivery(self, order_id: str) -> Any:
        query = select(deliveries).where(deliveries.c.order_id == order_id)
        return (await self.database.read(lambda tx: tx.rows(query)))[0]

    async def order(self, order_id: str) -> Any:
        return (await self.database.read(lambda tx: tx.rows(select(orders).where(orders.c.id == order_id))))[0]

    async def timeline(self, order_id: str) -> list[str]:
        query = select(order_events).where(order_events.c.order_id == order_id).order_by(order_events.c.seq)
        rows = await self.database.read(lambda tx: tx.rows(query))
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        return [row.type for row in rows]

    async def set(self, order_id: str, **values: Any) -> None:
        """Change the delivery row behind everybody's back."""
        statement = update(deliveries).where(deliveries.c.order_id == order_id).values(values)
        await self.database.write(lambda tx: tx.execute(statement))

    async def let_expire(self, order_id: str) -> None:
        past = datetime.now(UTC) - LONG_AGO
        await self.set(order_id, lease_expires_at=past, available_at=past)

    async def amend(self, order_id: str) -> None:
        """What AmendOrder will do to an order: while a lease lives it only counts the revision."""
        row, now = await self.delivery(order_id), datetime.now(UTC)
        alive = row.lease_token is not None and row.lease_expires_at > now
        values = {} if alive else {"available_at": now, "failures": 0, "dead_at": None}
        await self.set(order_id, revision=row.revision + 1, **values)
        await self.database.write(lambda tx: _revise(tx, order_id, row.revision + 1))

    async def ask_cancel(self, order_id: str) -> None:
        """What CancelOrder will do to an order that was leased before."""
        await self.amend(order_id)
        asked = update(orders).where(orders.c.id == order_id).values(cancel_requested_at=datetime.now(UTC))
        await self.database.write(lambda tx: tx.execute(asked))


async def _revise(tx: Transaction, order_id: str, revision: int) -> None:
    await tx.execute(update(orders).where(orders.c.id == order_id).values(revision=revision))
    line = LINE | {"order_id": order_id, "revision": revision, "amount": Decimal("3.00")}
    await tx.execute(insert(order_lines), [line])


def told(event_id: str, order_id: str, **what: Any) -> StatusUpdate:
    values: dict[str, Any] = {"erp_document": "", "status": "", "occurred_at": START}
    return StatusUpdate(event_id=event_id, order_id=order_id, **values | what)


def token_of(delivery: Delivery) -> str:
    return str(delivery.stored.delivery.lease_token)


def id_of(delivery: Delivery) -> str:
    return str(delivery.stored.order.id)


def state_of(row: Any) -> str:
    """Return what a delivery row means, with its failures."""
    now = datetime.now(UTC)
    if row.dead_at is not None:
        assert row.available_at is None
        return f"dead {row.failures}"
    if row.available_at is None:
        assert (row.lease_token, row.lease_expires_at, row.leased_by) == (None, None, None)
        return f"done {row.failures}"
    if row.available_at <= now:
        return f"claimable {row.failures}"
    leased = row.lease_token is not None and row.lease_expires_at > now
    return f"{'leased' if leased else 'backing off'} {row.failures}"
