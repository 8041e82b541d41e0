"""The CRM of the soak: creates, amends and cancels orders, and imports customers, by gRPC and REST, each until told."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections import deque
from contextlib import suppress

from soaking.callers import Client, Rest, as_json, insist
from soaking.ledger import Ledger
from tandem_client import Customer, FailedPrecondition, Order, OrderLine

CUSTOMERS = [f"customer-{number}" for number in range(20)]
RECENT = 200
SKUS = ("85123A", "71053", "84406B", "22960", "21730")
BAD_ROWS = 0.03
FIELDS = ("external_id", "customer_external_id", "currency", "note", "lines")


class Crm:
    """Does one thing at a time for whoever asks; `recent` are the orders made last, as (id, external id)."""

    def __init__(self, client: Client, rest: Rest, ledger: Ledger, rng: random.Random) -> None:
        self._client, self._rest, self._ledger, self._rng = client, rest, ledger, rng
        self._numbers = itertools.count(1)
        self.recent: deque[tuple[str, str]] = deque(maxlen=RECENT)

    async def begin(self) -> None:
        """Make the customers of all orders."""
        for name in CUSTOMERS:
            customer = Customer(external_id=name, name=name)
            await insist(lambda customer=customer: self._client.customers.upsert(customer))  # type: ignore[misc]

    async def create(self) -> None:
        """Create an order, by either way, and one in twenty by both at once."""
        order = self._order(next(self._numbers))
        ways = [self._create, self._post]
        self._rng.shuffle(ways)
        chosen = ways if self._rng.random() < 0.05 else ways[:1]
        ids = await asyncio.gather(*(insist(lambda way=way: way(order)) for way in chosen))  # type: ignore[misc]
        self.recent.append((ids[0], order.external_id))

    async def amend(self) -> None:
        """Change the note of an order, or its lines too."""
        if not self.recent:
            return
        order_id, _ = self._rng.choice(self.recent)
        change = Order(note=f"change {next(self._numbers)}")
        if self._rng.random() < 0.5:
            change.lines.extend(self._lines())
        key = str(uuid.uuid4())
        way = self._rng.choice([self._amend, self._patch])
        with suppress(FailedPrecondition):  # it has come too far
            await insist(lambda: way(order_id, change, key))

    async def cancel(self) -> None:
        """Call an order off."""
        if not self.recent:
            return
        order_id, _ = self._rng.choice(self.recent)
        way = self._rng.choice([self._cancel, self._post_cancel])
        with suppress(FailedPrecondition):
            await insist(lambda: way(order_id))

    async def import_(self) -> None:
        """Import new customers, a few of the rows wrong, from messages or as a file."""
        name = f"import-{next(self._numbers)}"
        count = self._rng.randint(100, 1200)
        rows = [Customer(external_id=f"{name}-{n}", name=f"{name} {n}") for n in range(count)]
        for row in rows:
            if self._rng.random() < BAD_ROWS:
                row.name = ""
        way = self._rng.choice([self._import_rows, self._import_file])
        await insist(lambda: way(name, rows))

    def _order(self, number: int) -> Order:
        customer = self._rng.choice(CUSTOMERS)
        order = Order(external_id=f"o{number}", customer_external_id=customer, currency="GBP", note=f"order {number}")
        order.lines.extend(self._lines())
        return order

    def _lines(self) -> list[OrderLine]:
        rng = self._rng
        return [
            OrderLine(
                sku=rng.choice(SKUS), quantity=str(rng.randint(1, 99)), unit_price=f"{rng.randint(1, 9999) / 100}"
            )
            for _ in range(rng.randint(1, 6))
        ]

    async def _create(self, order: Order) -> str:
        return (await self._client.orders.create(order)).id

    async def _post(self, order: Order) -> str:
        body = _filled(order)
        reply = await self._rest.ask(
            "CreateOrder", "POST", "/v1/orders", request={"order": body}, field="order", json=body
        )
        return str(reply["order"]["id"])

    async def _amend(self, order_id: str, change: Order, key: str) -> None:
        await self._client.orders.amend(order_id, change, idempotency_key=key)

    async def _patch(self, order_id: str, change: Order, key: str) -> None:
        body, headers = _filled(change), {"idempotency-key": key}
        request = {"id": order_id, "order": body}
        path = f"/v1/orders/{order_id}"
        await self._rest.ask("AmendOrder", "PATCH", path, request=request, field="order", json=body, headers=headers)

    async def _cancel(self, order_id: str) -> None:
        await self._client.orders.cancel(order_id, reason="no longer wanted")

    async def _post_cancel(self, order_id: str) -> None:
        body = {"reason": "no longer wanted"}
        path = f"/v1/orders/{order_id}:cancel"
        await self._rest.ask("CancelOrder", "POST", path, request={"id": order_id}, field="order", json=body)

    async def _import_rows(self, name: str, rows: list[Customer]) -> None:
        with self._ledger.call("crm", "ImportCustomers", _asked(name, rows)) as tell:
            tell({"result": as_json(await self._client.customers.import_(rows, import_id=name))})

    async def _import_file(self, name: str, rows: list[Customer]) -> None:
        table = "".join(f"{row.external_id},{row.name}\n" for row in rows)
        headers = {"content-type": "text/csv"}
        path, body = f"/v1/customers:import?import_id={name}", f"external_id,name\n{table}".encode()
        await self._rest.ask(
            "ImportCustomers", "POST", path, request=_asked(name, rows), field="result", data=body, headers=headers
        )


def _filled(order: Order) -> dict[str, object]:
    """Return the fields of *order* that are filled, as a body."""
    told = {name: value for name, value in as_json(order).items() if value and name in FIELDS}
    lines = [{name: value for name, value in line.items() if value} for line in told.get("lines", [])]
    return told | ({"lines": lines} if lines else {})


def _asked(name: str, rows: list[Customer]) -> dict[str, object]:
    """Return what the ledger keeps of an import: which rows are good, and how many are not."""
    good = {row.external_id: row.name for row in rows if row.name}
    return {"import_id": name, "good": good, "bad": len(rows) - len(good)}
