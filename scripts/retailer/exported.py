"""What files say of the orders: Tandem's exports, read as anybody reads CSV."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from retailer.books import Entry
from retailer.invoices import Invoice
from tandem_client import Tandem


class Exported(NamedTuple):
    """The orders by number, and what those of each country came to."""

    books: Mapping[str, Entry]
    countries: Mapping[str, Decimal]


async def exported(reports: Tandem, numbers: Collection[str]) -> Exported:
    """Export orders and lines, and return what the files say of the orders with these *numbers*."""
    with TemporaryDirectory() as folder:
        orders, lines = Path(folder, "orders.csv"), Path(folder, "lines.csv")
        await reports.exports.orders(orders)
        await reports.exports.order_lines(lines)
        counts = Counter(row["order_id"] for row in _rows(lines))
        found = [row for row in _rows(orders) if row["external_id"] in numbers]
    books = {
        row["external_id"]: Entry(row["customer_external_id"], counts[row["id"]], Decimal(row["total"]))
        for row in found
    }
    told = ((json.loads(row["attributes"])["country_name"], Decimal(row["total"])) for row in found)
    return Exported(books, _sums(told))


def by_country(invoices: Iterable[Invoice], books: Mapping[str, Entry]) -> dict[str, Decimal]:
    """Return what the *invoices* that are in *books* come to, by the country of each."""
    return _sums((invoice.country, books[invoice.number].amount) for invoice in invoices if invoice.number in books)


def _sums(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for name, amount in amounts:
        sums[name] += amount
    return dict(sums)


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text, strict=True)
