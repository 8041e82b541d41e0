"""Orders that the CRM changes: each change is a new revision, which the ERP gets whole."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, NamedTuple

from tandem_proto.errors import AlreadyExists, EtagMismatch, FailedPrecondition, FieldViolation, InvalidArgument
from tandem_server.domain.content import Content, differing
from tandem_server.domain.etags import check_etag
from tandem_server.domain.lifecycle import AMENDABLE
from tandem_server.domain.money import Totals
from tandem_server.domain.orders import total_up
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.storage import orders as stored_orders
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.storage.orders import StoredOrder
from tandem_server.usecases import orders
from tandem_server.usecases.held import store
from tandem_server.usecases.orders import NewOrder, by_number, content_of
from tandem_server.usecases.revisions import Locked, lock, revise

FIXED = ("customer_id", "customer_external_id", "currency")
"""What an order keeps for ever, besides its ids."""

SizeOf = Callable[[StoredOrder], int]
"""Tells an order's encoded size in bytes."""


class Outcome(StrEnum):
    """What became of an order that the CRM told as it is now."""

    CREATED = "CREATED"
    AMENDED = "AMENDED"
    UNCHANGED = "UNCHANGED"


class Result(NamedTuple):
    """An order as it now is, and what became of it."""

    stored: StoredOrder
    outcome: Outcome


async def amend(
    tx: Transaction,
    caller: Caller,
    order_id: str,
    content: Content,
    mask: Collection[str],
    expected_etag: str,
    size_of: SizeOf,
) -> Result:
    """Change the fields of *mask* to what *content* says; what changes nothing writes nothing.

    Raises NotFound; EtagMismatch where *expected_etag* is given and another; InvalidArgument where the order would not
    fit; FailedPrecondition where it can no longer be changed (ORDER_NOT_AMENDABLE, CANCEL_REQUESTED).
    """
    locked = await lock(tx, caller.source, order_id=order_id)
    order = locked.held.order
    check_etag("order", order["version"], expected_etag)
    after = content_of(locked.stored, content) | {"total": None} | {name: content[name] for name in mask}
    after["ordered_at"] = after["ordered_at"] or order["created_at"]
    return await _change(tx, caller, locked, after, size_of)


async def upsert(tx: Transaction, caller: Caller, routes: Routes, new: NewOrder, expected_etag: str) -> Result:
    """Store the order as *new* says it is now; the fields that Tandem fills in stay where they are left out.

    Raises what creating and amending it raise, but for AlreadyExists. Where nothing differs the etag does not matter,
    so that a repetition is harmless.
    """
    content = new.content
    if await stored_orders.whereabouts(tx, caller.source, external_id=content["external_id"]) is None:
        (created,) = await orders.create(tx, routes, [new])
        if isinstance(created, orders.Created) and not created.replayed:
            if expected_etag:
                raise EtagMismatch("there is no such order: it has no etag yet", metadata={"etag": ""})
            return Result(created.stored, Outcome.CREATED)
        if not isinstance(created, orders.Created | AlreadyExists):
            raise created
    locked = await lock(tx, caller.source, external_id=content["external_id"])
    before = content_of(locked.stored, content)
    _check_fixed(before, content)
    kept = (*FIXED, *(name for name in orders.DEFAULTED if content[name] is None))
    after = {**content, **{name: before[name] for name in kept}}
    return await _change(tx, caller, locked, after, lambda _: new.size, expected_etag)


def _check_fixed(before: Content, content: Content) -> None:
    """Raise InvalidArgument where *content* tells another customer or currency; it tells the customer by one id."""
    if wrong := [FieldViolation(n, "cannot be changed") for n in FIXED if content[n] and content[n] != before[n]]:
        raise InvalidArgument(f"{wrong[0].field} cannot be changed: it is {before[wrong[0].field]}", fields=wrong)


async def _change(
    tx: Transaction, caller: Caller, locked: Locked, after: Content, size_of: SizeOf, expected_etag: str = ""
) -> Result:
    totals = total_up({**after, "customer_external_id": ""})
    changed = differing({**after, "lines": by_number(after["lines"])}, content_of(locked.stored, after))
    if not changed:
        return Result(locked.stored, Outcome.UNCHANGED)
    held = locked.held
    check_etag("order", held.order["version"], expected_etag)
    _check_amendable(held.order)
    held.order.update({name: after[name] for name in changed if name != "lines"} | _sums(totals))
    amounts = zip(after["lines"], totals.amounts, strict=True)
    revision = await revise(tx, locked, by_number(line | {"amount": amount} for line, amount in amounts))
    held.delivery["bytes"] = size_of(locked.stored)
    held.tell(EventType.AMENDED, revision=revision, fields=changed)
    await store(tx, caller, [held])
    return Result(locked.stored, Outcome.AMENDED)


def _sums(totals: Totals) -> dict[str, Any]:
    return {"subtotal": totals.subtotal, "tax_amount": totals.tax, "total": totals.total}


def _check_amendable(order: Content) -> None:
    if order["status"] not in AMENDABLE:
        message = f"the order is {order['status']}: it can no longer be changed"
        raise FailedPrecondition(message, reason="ORDER_NOT_AMENDABLE", metadata={"status": order["status"]})
    if order["cancel_requested_at"] is not None:
        message = "a cancel of the order waits for the ERP's answer: until then it cannot be changed"
        raise FailedPrecondition(message, reason="CANCEL_REQUESTED")
