"""The CRM: hands customers and orders over, and keeps what was refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from rich.progress import Progress

from retailer.countries import CODES
from retailer.invoices import Invoice
from retailer.progress import Pace, each
from tandem_client import (
    Address,
    AlreadyExists,
    Customer,
    FailedPrecondition,
    InvalidArgument,
    Order,
    OrderLine,
    Tandem,
    TandemError,
)

AT_ONCE = 32


@dataclass(frozen=True)
class Refusal:
    """An invoice that Tandem refused: what *kind* it is, *why* (reason and fields, for counting), and in full."""

    number: str
    kind: str
    why: str
    says: str


class Crm:
    """A CRM with the invoices of the table."""

    def __init__(self, tandem: Tandem, invoices: Sequence[Invoice], progress: Progress) -> None:
        self._tandem = tandem
        self._invoices = invoices
        self.customers = Pace(progress, "customers")
        self.orders = Pace(progress, "orders handed over", len(invoices))
        self.accepted: set[str] = set()
        self.refused: list[Refusal] = []

    async def hand_over(self) -> None:
        """Store every customer, then create every order."""
        customers = sorted({invoice.customer for invoice in self._invoices} - {""})
        self.customers.expect(len(customers))
        self.customers.start()
        await each(customers, self._upsert, AT_ONCE)
        self.orders.start()
        await each(self._invoices, self._create, AT_ONCE)

    async def _upsert(self, customer: str) -> None:
        await self._tandem.customers.upsert(Customer(external_id=customer, name=f"Customer {customer}", currency="GBP"))
        self.customers.advance()

    async def _create(self, invoice: Invoice) -> None:
        try:
            await self._tandem.orders.create(order(invoice))
            self.accepted.add(invoice.number)
        except (InvalidArgument, AlreadyExists, FailedPrecondition) as error:
            self.refused.append(refusal(invoice, error))
        self.orders.advance()


def order(invoice: Invoice) -> Order:
    """Return *invoice* as an order."""
    ordered_at = Timestamp()
    ordered_at.FromDatetime(invoice.ordered_at)
    return Order(
        external_id=invoice.number,
        customer_external_id=invoice.customer,
        currency="GBP",
        ordered_at=ordered_at,
        shipping_address=Address(country=CODES.get(invoice.country, "")),
        attributes={"country_name": invoice.country},
        lines=[OrderLine(**line._asdict()) for line in invoice.lines],
    )


def refusal(invoice: Invoice, error: TandemError) -> Refusal:
    """Return what *error* says of *invoice*; of a fault that many lines have, the first is told."""
    says: dict[str, str] = {}
    for fault in error.fields:
        says.setdefault(re.sub(r"\[\d+\]", "[]", fault.field), f"{fault.field} {fault.description}")
    why = " ".join((error.reason, *sorted(says)))
    return Refusal(invoice.number, invoice.kind, why, "; ".join(says.values()) or str(error))
