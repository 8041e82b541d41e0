"""Customers who are erased: with all that was ever typed of them and of their orders, and so that they stay it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from tandem_proto.errors import FailedPrecondition, NotFound
from tandem_server.domain.erasure import ORDER, document_key, keys_of, replacement, shipments_without_texts
from tandem_server.domain.lifecycle import CANCELLABLE
from tandem_server.domain.principals import Caller
from tandem_server.storage import customers, erasures, leftovers
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.events import EventType
from tandem_server.usecases.cancellations import call_off
from tandem_server.usecases.held import Held, hold, store
from tandem_server.usecases.revisions import lock

ORDERS_AT_ONCE = 50
"""What one transaction takes of a customer's orders."""
NAMED = 20
"""How many of the orders in the way an error names, since it travels in metadata."""
LISTED = 100
"""How many a reply lists."""
REASON = "the customer is to be erased"


class Erasure(NamedTuple):
    """What an erasure came to: the customer as it is now, and the orders that it waits for; while it does, no row."""

    row: object | None
    waiting_order_ids: list[str]


async def erase(database: Database, caller: Caller, customer_id: str, *, cancel_open_orders: bool) -> Erasure:
    """Erase a customer, in several transactions: what is done stays done, and a repetition goes on from there.

    The first that counts writes the ledger, and from then on nobody adds anything. Raises NotFound, and
    FailedPrecondition where orders are open (ORDERS_OPEN) or no secret is set (NO_SECRET).
    """
    if not database.marks:
        message = "nothing can be erased for good without a secret: set TANDEM_SECRET, and keep it"
        raise FailedPrecondition(message, reason="NO_SECRET")
    while cancel_open_orders and await database.write(partial(_call_off_some, caller=caller, customer_id=customer_id)):
        pass
    begin = partial(_begin, caller=caller, customer_id=customer_id, called_off=cancel_open_orders)
    if waiting := await database.write(begin):
        return Erasure(None, waiting)
    while await database.write(partial(_blank_some, caller=caller, customer_id=customer_id)):
        pass
    await _forget(database, caller.source, customer_id)
    row = await database.read(lambda tx: customers.find(tx, caller.source, customer_id=customer_id))
    return Erasure(row, [])


async def check(database: Database) -> None:
    """Raise ValueError where customers were erased by a secret that is not set: they would come back."""
    if missing := await database.read(erasures.secrets) - set(database.marks.secrets):
        message = "customers were erased with a TANDEM_SECRET that is not set, and would come back: set it"
        raise ValueError(f"{message}, behind a newer one if need be (missing: {', '.join(sorted(missing))})")


async def _call_off_some(tx: Transaction, caller: Caller, customer_id: str) -> bool:
    """Call some of a customer's open orders off; tell whether there were any."""
    if await customers.find(tx, caller.source, customer_id=customer_id) is None:
        raise NotFound(f"there is no customer {customer_id}")
    ids = await erasures.not_called_off(tx, customer_id, ORDERS_AT_ONCE)
    for order_id in ids:
        locked = await lock(tx, caller.source, order_id=order_id)
        order = locked.held.order
        if order["status"] in CANCELLABLE and order["cancel_requested_at"] is None:
            await call_off(tx, caller, locked, REASON)
    return bool(ids)


async def _begin(tx: Transaction, caller: Caller, customer_id: str, *, called_off: bool) -> list[str]:
    """Write the ledger and blank the customer, or return the ids of the orders that are in the way.

    Whoever creates an order locks its customer, so none comes between the look at the orders and the commit; and an
    order that is not open never opens again.
    """
    row = await customers.find(tx, caller.source, customer_id=customer_id, lock=True)
    if row is None:
        raise NotFound(f"there is no customer {customer_id}")
    if row.erased_at is not None:
        return []
    open_ids = await erasures.open_orders(tx, customer_id, LISTED, called_off=called_off)
    if open_ids and not called_off:
        raise _orders_open(open_ids)
    if not open_ids:
        await erasures.erase_customer(tx, row, list(keys_of(row.source, vars(row))))
    return open_ids


def _orders_open(ids: list[str]) -> FailedPrecondition:
    named = ", ".join(ids[:NAMED])
    more = " and more" if len(ids) > NAMED else ""
    message = f"orders of the customer are open: {named}{more}; end them, or say cancel_open_orders"
    return FailedPrecondition(message, reason="ORDERS_OPEN", metadata={"order_ids": ",".join(ids[:NAMED])})


async def _blank_some(tx: Transaction, caller: Caller, customer_id: str) -> bool:
    """Blank some of an erased customer's orders; tell whether there were any."""
    found = await hold(tx, None, await erasures.with_texts(tx, customer_id, ORDERS_AT_ONCE))
    for held in found.values():
        await _blank(tx, held)
    await store(tx, caller, found.values())
    if found:
        await leftovers.blank_orders(tx, list(found))
    return bool(found)


async def _blank(tx: Transaction, held: Held) -> None:
    order, document = held.order, held.order["erp_document"]
    order.update(
        ORDER,
        external_id=replacement(held.id),
        customer_external_id=replacement(order["customer_id"]),
        erp_document=document and replacement(tx.marks.of(document_key(held.delivery["erp"], document))),
        shipments=shipments_without_texts(order["shipments"]),
        erased_at=await tx.now(),
    )
    held.end_lease()
    held.delivery.update(available_at=None, dead_at=None, last_error="")
    held.tell(EventType.ERASED)


async def _forget(database: Database, source: str, customer_id: str) -> None:
    """Delete what was kept for repetitions; whoever was to keep more has met the customer's or an order's lock."""
    await database.write(partial(leftovers.forget_events, customer_id=customer_id))
    while await database.write(partial(leftovers.forget_replies, customer_id=customer_id)):
        pass
    place: leftovers.Place | None = ("", 0)
    while place is not None:
        place = await database.write(partial(leftovers.blank_faults, source=source, after=place))
