"""What an order must be beyond the contract's field rules, and what it amounts to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from tandem_proto.errors import FieldViolation, InvalidArgument
from tandem_server.domain import money
from tandem_server.domain.content import Content

AMOUNTS = ("shipping_amount", "shipping_tax_amount", "discount_amount", "paid_amount", "total")
LINE_AMOUNTS = ("discount_amount", "tax_amount")


def total_up(order: Content) -> money.Totals:
    """Return the sums of *order*.

    Raises InvalidArgument, naming every wrong field relative to the order, where it names no customer or two, its
    currency or delivery date do not exist, an amount has more decimals than its currency, a line number stands twice, a
    discount is too high, or a given total differs (reason TOTAL_MISMATCH).
    """
    if wrong := list(_wrong_fields(order)):
        names = ", ".join(f.field for f in wrong)
        raise InvalidArgument(f"the order does not fit: {names}", reason="INVALID_FIELDS", fields=wrong)
    totals = money.total_up(
        order["currency"],
        [money.Line(x["quantity"], x["unit_price"], x["discount_amount"], x["tax_amount"]) for x in order["lines"]],
        shipping=order["shipping_amount"],
        shipping_tax=order["shipping_tax_amount"],
        discount=order["discount_amount"],
        inclusive=order["prices_include_tax"],
    )
    _check_total(order, totals.total)
    return totals


def _wrong_fields(order: Content) -> Iterator[FieldViolation]:
    if bool(order["customer_id"]) == bool(order["customer_external_id"]):
        yield FieldViolation("customer_id", "give either customer_id or customer_external_id")
    if not _is_day(order["requested_delivery_date"]):
        yield FieldViolation("requested_delivery_date", "there is no such day")
    for number, count in Counter(line["line_number"] for line in order["lines"]).items():
        if count > 1:
            yield FieldViolation("lines", f"line_number {number} stands {count} times")
    currency = order["currency"]
    if money.minor_units(currency) is None:
        yield FieldViolation("currency", f"{currency} is not a currency of ISO 4217")
        return
    yield from _overlong(order, AMOUNTS, "", currency)
    for position, line in enumerate(order["lines"]):
        yield from _overlong(line, LINE_AMOUNTS, f"lines[{position}].", currency)


def _overlong(values: Content, names: tuple[str, ...], prefix: str, currency: str) -> Iterator[FieldViolation]:
    for name in names:
        value: Decimal | None = values[name]
        if value is not None and not money.fits(value, currency):
            digits = money.minor_units(currency)
            yield FieldViolation(prefix + name, f"{value} has more decimals than {currency}, which has {digits}")


def _is_day(text: str) -> bool:
    try:
        return not text or bool(date.fromisoformat(text))
    except ValueError:
        return False


def _check_total(order: Content, total: Decimal) -> None:
    given: Decimal | None = order["total"]
    if given is None or given == total:
        return
    expected, currency = money.written_amount(total, order["currency"]), order["currency"]
    said = money.written_amount(given, currency)
    message = f"total is {said}, but the lines, discount, shipping and tax make {expected}"
    fields = [FieldViolation("total", message)]
    metadata = {"given_total": said, "computed_total": expected}
    raise InvalidArgument(message, reason="TOTAL_MISMATCH", fields=fields, metadata=metadata)


def numbered(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *lines* with the numbers that are missing: a line's position, counted from 1."""
    return [line | {"line_number": line["line_number"] or position} for position, line in enumerate(lines, 1)]
