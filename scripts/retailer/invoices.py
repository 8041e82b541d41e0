"""The retailer's table: one row a line, made into invoices. Untidy as it is, it is cleaned but not corrected."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
LONDON = ZoneInfo("Europe/London")
PENNY = Decimal("0.01")
GZIP = b"\x1f\x8b"


class Line(NamedTuple):
    """One line of an invoice, in the words of the table."""

    sku: str
    description: str
    quantity: str
    unit_price: str


@dataclass
class Invoice:
    """One invoice; `customer` is empty unless every line names the same one."""

    number: str
    customer: str
    ordered_at: datetime
    country: str
    lines: list[Line] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What the first letter of the number says it is."""
        return {"A": "adjustment", "C": "credit note"}.get(self.number[:1], "sale")

    @property
    def valid(self) -> bool:
        """Whether this is a sale that a CRM may hand over: the others are for Tandem to refuse."""
        sound = all(Decimal(line.quantity) > 0 and Decimal(line.unit_price) >= 0 for line in self.lines)
        return self.number.isdigit() and self.customer != "" and sound


def amount(quantity: str, unit_price: str) -> Decimal:
    """Return what a line costs, rounded half-up to the penny."""
    return (Decimal(quantity) * Decimal(unit_price)).quantize(PENNY, ROUND_HALF_UP)


def read(file: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of *file*, plain or compressed; raises SystemExit if it is another table."""
    with file.open("rb") as raw:
        compressed = raw.read(len(GZIP)) == GZIP
    opened = gzip.open if compressed else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        if missing := set(COLUMNS) - set(rows.fieldnames or ()):
            raise SystemExit(f"{file} has no column {', '.join(sorted(missing))}")
        yield from rows


def grouped(rows: Iterable[Mapping[str, str]]) -> list[Invoice]:
    """Return the invoices that *rows* make up, in order of their first lines; their rows need not be neighbours."""
    invoices: dict[str, Invoice] = {}
    for row in rows:
        number, sku, description, quantity, when, price, customer, country = (_clean(row[name]) for name in COLUMNS)
        customer = customer.removesuffix(".0")
        invoice = invoices.get(number)
        if invoice is None:
            ordered_at = datetime.fromisoformat(when).replace(tzinfo=LONDON)
            invoice = invoices[number] = Invoice(number, customer, ordered_at, country)
        elif invoice.customer != customer:
            invoice.customer = ""
        invoice.lines.append(Line(sku, description, quantity, price))
    return list(invoices.values())


def _clean(cell: str) -> str:
    return sys.intern(cell.strip())  # the same few thousand words, half a million times
