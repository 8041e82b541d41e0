"""What each side knows of the orders, so that it can be compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol, Self

from retailer.invoices import amount
from tandem_client import Order, Tandem


class Priced(Protocol):
    """A line, of an invoice or of an order."""

    @property
    def quantity(self) -> str:
        """How much."""

    @property
    def unit_price(self) -> str:
        """At what price."""


class Entry(NamedTuple):
    """One order in the books of one side."""

    customer: str
    lines: int
    amount: Decimal

    @classmethod
    def counted(cls, customer: str, lines: Collection[Priced]) -> Self:
        """Return an order whose amount is counted from its *lines*."""
        total = sum((amount(line.quantity, line.unit_price) for line in lines), Decimal(0))
        return cls(customer, len(lines), total)


class Totals(NamedTuple):
    """The books of one side, in four numbers."""

    orders: int
    lines: int
    customers: int
    amount: Decimal

    @classmethod
    def of(cls, books: Mapping[str, Entry]) -> Self:
        """Return the totals of *books*."""
        entries = books.values()
        total = sum((entry.amount for entry in entries), Decimal(0))
        return cls(len(books), sum(e.lines for e in entries), len({e.customer for e in entries}), total)


class Stored(NamedTuple):
    """One order as Tandem shows it to the CRM; `order` holds what matters beside the entry."""

    entry: Entry
    order: Order


async def stored(crm: Tandem, numbers: Collection[str]) -> dict[str, Stored]:
    """Return every order with one of these *numbers* that Tandem holds for the CRM."""
    found = {}
    async for order in crm.orders.list():
        if order.external_id in numbers:
            entry = Entry(order.customer_external_id, len(order.lines), Decimal(order.total))
            found[order.external_id] = Stored(entry, _abridged(order))
    return found


def _abridged(order: Order) -> Order:
    """Return a copy of a few fields: a message that came on a page keeps the whole page in memory."""
    return Order(
        id=order.id,
        external_id=order.external_id,
        ordered_at=order.ordered_at,
        status=order.status,
        erp_document=order.erp_document,
    )
