"""What the columns of an export are, and how what is stored becomes rows: a whole column at a time, which is fast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from tandem_server.domain.csv_writing import Cells, csv_lines, inert
from tandem_server.domain.currencies import MINOR_UNITS
from tandem_server.domain.money import written_quantity

ADDRESS = ("recipient", "company", "line1", "line2", "city", "region", "postal_code", "country", "phone")

Stored = Mapping[str, Cells]
"""Some rows as they are stored, by column: values as the database writes them, nothing as an empty text."""


class Kind(NamedTuple):
    """How a column that is stored becomes one of CSV, or as many as it has `parts`, and one of JSON.

    `free` columns hold what people wrote.
    """

    cells: Callable[[Stored, str], Sequence[Cells]]
    values: Callable[[Sequence[Cells]], Sequence[Any]] = lambda cells: cells[0]
    parts: tuple[str, ...] = ()
    free: bool = False


class Sheet:
    """The columns of an export, each of a kind, by the names under which they are stored."""

    def __init__(self, **columns: Kind) -> None:
        self._columns = columns
        self.stored = tuple(columns)
        names = [f"{name}.{part}" if part else name for name, kind in columns.items() for part in kind.parts or ("",)]
        self.csv_header = csv_lines([[name] for name in names])

    def csv(self, stored: Stored, *, raw: bool) -> bytes:
        """Return rows as lines of CSV; unless *raw*, none of their cells is executed by a spreadsheet."""
        cells: list[Cells] = []
        for name, kind in self._columns.items():
            columns = kind.cells(stored, name)
            cells += columns if raw or not kind.free else map(inert, columns)
        return csv_lines(cells)

    def ndjson(self, stored: Stored) -> bytes:
        """Return rows as lines of JSON; what can be absent and is absent is left out."""
        values = [kind.values(kind.cells(stored, name)) for name, kind in self._columns.items()]
        rows = (dict(zip(self._columns, row, strict=True)) for row in zip(*values, strict=True))
        there = ({name: value for name, value in row.items() if value is not None} for row in rows)
        return b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in there])


def _each(write: Callable[[str], str], column: Cells) -> Cells:
    """Return what *write* makes of each cell: once of each that is another, since most are like those above."""
    written = {cell: write(cell) for cell in set(column)}
    return [written[cell] for cell in column]


def _texts(stored: Stored, name: str) -> Sequence[Cells]:
    return [stored[name]]


def _flags(stored: Stored, name: str) -> Sequence[Cells]:
    return [_each(lambda text: "true" if text == "1" else "false", stored[name])]


def _instants(stored: Stored, name: str) -> Sequence[Cells]:
    return [[f"{text[:10]}T{text[11:]}Z" if text else "" for text in stored[name]]]


def _documents(stored: Stored, name: str) -> Sequence[Cells]:
    return [_each(lambda text: "" if text in ("{}", "[]") else text, stored[name])]


def _amounts(stored: Stored, name: str) -> Sequence[Cells]:
    currencies = set(stored["currency"])
    if len(currencies) == 1:
        digits = MINOR_UNITS[currencies.pop()]
        return [_each(lambda text: _decimal(text, digits), stored[name])]
    return [[_decimal(text, MINOR_UNITS[of]) for text, of in zip(stored[name], stored["currency"], strict=True)]]


def _quantities(stored: Stored, name: str) -> Sequence[Cells]:
    return [_each(lambda text: _decimal(text, 0), stored[name])]


def _addresses(stored: Stored, name: str) -> Sequence[Cells]:
    return list(zip(*map(_address, stored[name]), strict=True))


def _shipped(stored: Stored, _name: str) -> Sequence[Cells]:
    pairs = zip(stored["shipments"], stored["line_number"], strict=True)
    return [[_shipped_lines(shipments).get(number, "0") for shipments, number in pairs]]


def _decimal(text: str, digits: int) -> str:
    """Write a decimal with at least *digits* behind the point, and more where it has more, but no zeros at its end."""
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(digits, "0")
    return f"{whole}.{fraction}" if fraction else whole


@lru_cache(maxsize=1024)  # customers order again
def _address(text: str) -> tuple[str, ...]:
    values = orjson.loads(text or "{}")
    return tuple(values.get(part, "") for part in ADDRESS)


@lru_cache(maxsize=16)  # the lines of an order come together
def _shipped_lines(shipments: str) -> dict[str, str]:
    """Return how much of each line number, both as texts, an order's shipments hold together."""
    shipped: dict[int, Decimal] = defaultdict(Decimal)
    for shipment in orjson.loads(shipments).values():
        for line in shipment["lines"]:
            shipped[line["line_number"]] += Decimal(line["quantity"])
    return {str(number): written_quantity(quantity) for number, quantity in shipped.items()}


TEXT = Kind(_texts, free=True)
NAME = Kind(_texts)
TYPE = Kind(_texts, lambda cells: [text or "UNSPECIFIED" for text in cells[0]])
NUMBER = Kind(_texts, lambda cells: [int(text) for text in cells[0]])
FLAG = Kind(_flags, lambda cells: [text == "true" for text in cells[0]])
INSTANT = Kind(_instants, lambda cells: [text or None for text in cells[0]])
AMOUNT = Kind(_amounts)
QUANTITY = Kind(_quantities)
SHIPPED = Kind(_shipped)
MAP = Kind(_documents, lambda cells: [orjson.Fragment(text or "{}") for text in cells[0]])
LIST = Kind(_documents, lambda cells: [orjson.Fragment(text or "[]") for text in cells[0]])
POSTAL = Kind(
    _addresses,
    lambda cells: [
        dict(zip(ADDRESS, parts, strict=True)) if any(parts) else None for parts in zip(*cells, strict=True)
    ],
    ADDRESS,
    free=True,
)

CUSTOMERS = Sheet(
    id=NAME,
    source=NAME,
    external_id=TEXT,
    name=TEXT,
    type=TYPE,
    email=TEXT,
    phone=TEXT,
    tax_id=TEXT,
    currency=NAME,
    payment_terms=TEXT,
    billing_address=POSTAL,
    shipping_address=POSTAL,
    note=TEXT,
    inactive=FLAG,
    attributes=MAP,
    erp_number=TEXT,
    created_at=INSTANT,
    updated_at=INSTANT,
    erased_at=INSTANT,
)
ORDERS = Sheet(
    id=NAME,
    source=NAME,
    external_id=TEXT,
    number=TEXT,
    customer_id=NAME,
    customer_external_id=TEXT,
    customer_reference=TEXT,
    currency=NAME,
    ordered_at=INSTANT,
    requested_delivery_date=NAME,
    billing_address=POSTAL,
    shipping_address=POSTAL,
    shipping_method=TEXT,
    shipping_amount=AMOUNT,
    shipping_tax_amount=AMOUNT,
    discount_amount=AMOUNT,
    prices_include_tax=FLAG,
    payment_terms=TEXT,
    paid_amount=AMOUNT,
    payment_reference=TEXT,
    note=TEXT,
    attachments=LIST,
    attributes=MAP,
    total=AMOUNT,
    status=NAME,
    revision=NUMBER,
    subtotal=AMOUNT,
    tax_amount=AMOUNT,
    erp=NAME,
    erp_document=TEXT,
    invoice_numbers=LIST,
    cancel_requested_at=INSTANT,
    created_at=INSTANT,
    updated_at=INSTANT,
    erased_at=INSTANT,
)
ORDER_LINES = Sheet(
    order_id=NAME,
    source=NAME,
    order_external_id=TEXT,
    currency=NAME,
    revision=NUMBER,
    updated_at=INSTANT,
    line_number=NUMBER,
    external_id=TEXT,
    sku=TEXT,
    description=TEXT,
    quantity=QUANTITY,
    unit=TEXT,
    unit_price=AMOUNT,
    discount_amount=AMOUNT,
    tax_code=TEXT,
    tax_amount=AMOUNT,
    warehouse=TEXT,
    note=TEXT,
    attributes=MAP,
    amount=AMOUNT,
    shipped_quantity=SHIPPED,
)
"""New columns are only ever added behind the last: whoever reads these files may count on their places."""
