"""Money: exact decimals, summed in a context of 50 digits, rounded half-up to the currency's minor unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from tandem_proto.errors import FieldViolation, InvalidArgument
from tandem_server.domain.currencies import MINOR_UNITS

PRECISE = Context(prec=50, rounding=ROUND_HALF_UP)
LARGEST = Decimal("999999999999999.9999")
"""What a column of D(19,4) holds."""
ZEROS = {currency: f"{Decimal(0):.{digits}f}" for currency, digits in MINOR_UNITS.items()}
"""Nothing, as written in each currency: most amounts of most orders."""


@dataclass(frozen=True)
class Line:
    """What the sums need to know of an order line."""

    quantity: Decimal
    unit_price: Decimal
    discount: Decimal
    tax: Decimal


@dataclass(frozen=True)
class Totals:
    """The sums of an order, and the amount of each of its lines."""

    amounts: list[Decimal]
    subtotal: Decimal
    tax: Decimal
    total: Decimal


def decimal(text: str) -> Decimal:
    """Return the amount that *text* writes; nothing written is zero."""
    return Decimal(text) if text else Decimal(0)


def minor_units(currency: str) -> int | None:
    """Return how many decimals *currency* has (ISO 4217), None where there is no such currency."""
    return MINOR_UNITS.get(currency)


def fits(amount: Decimal, currency: str) -> bool:
    """Tell whether *amount* has no more decimals than *currency*, counted by value: 1.500 has one."""
    digits = MINOR_UNITS[currency]
    return amount == amount.quantize(Decimal(1).scaleb(-digits), context=PRECISE)


def total_up(
    currency: str,
    lines: Iterable[Line],
    *,
    shipping: Decimal,
    shipping_tax: Decimal,
    discount: Decimal,
    inclusive: bool,
) -> Totals:
    """Return the sums of an order in *currency*; *inclusive* where prices hold the tax already.

    Raises InvalidArgument, naming each field relative to the order, where a discount is above what it is taken off or a
    sum is too large to store.
    """
    unit = Decimal(1).scaleb(-MINOR_UNITS[currency])
    wrong: list[FieldViolation] = []
    with localcontext(PRECISE):
        amounts: list[Decimal] = []
        tax = shipping_tax
        for position, line in enumerate(lines):
            gross = (line.quantity * line.unit_price).quantize(unit)
            if line.discount > gross:
                field = f"lines[{position}].discount_amount"
                wrong.append(FieldViolation(field, f"{line.discount} is above the line's {gross}"))
            if gross > LARGEST:
                wrong.append(FieldViolation(f"lines[{position}]", "quantity times unit_price is too large"))
            amounts.append(gross - line.discount)
            tax += line.tax
        subtotal = sum(amounts, Decimal(0))
        total = subtotal - discount + shipping + (Decimal(0) if inclusive else tax)
        if discount > max(subtotal, Decimal(0)):
            wrong.append(FieldViolation("discount_amount", f"{discount} is above the subtotal {subtotal}"))
        if max(subtotal, tax, total) > LARGEST:
            wrong.append(FieldViolation("total", "the sum is too large"))
    if wrong:
        raise InvalidArgument("the amounts of the order do not fit", fields=wrong)
    return Totals(amounts, subtotal, tax, total)


def written_amount(amount: Decimal, currency: str) -> str:
    """Write *amount* with the decimals of its currency: "15.30"."""
    return f"{amount:.{MINOR_UNITS[currency]}f}" if amount else ZEROS[currency]


def written_price(price: Decimal, currency: str) -> str:
    """Write a unit price with at least the decimals of its currency, and more where it has more: "2.50", "0.125"."""
    whole, _, decimals = f"{price:f}".partition(".")
    decimals = decimals.rstrip("0").ljust(MINOR_UNITS[currency], "0")
    return f"{whole}.{decimals}" if decimals else whole


def written_quantity(quantity: Decimal) -> str:
    """Write a quantity without exponent and without zeros at its end: "6", "0.5"."""
    return f"{quantity.normalize(PRECISE):f}" if quantity else "0"
