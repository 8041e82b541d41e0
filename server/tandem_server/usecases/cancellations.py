"""Orders that the CRM calls off."""

from __future__ import annotations

from tandem_proto.errors import FailedPrecondition
from tandem_server.domain.etags import check_etag
from tandem_server.domain.lifecycle import CANCELLABLE, Status
from tandem_server.domain.principals import Caller
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.storage.orders import StoredOrder
from tandem_server.usecases.held import Held, store
from tandem_server.usecases.revisions import Locked, lock, revise


async def cancel(tx: Transaction, caller: Caller, order_id: str, reason: str, expected_etag: str) -> StoredOrder:
    """Call an order off, or ask its ERP to where it was handed the order; one that is called off stays as it is.

    Raises NotFound; EtagMismatch where *expected_etag* is given and another; FailedPrecondition where the order has
    come too far (ORDER_NOT_CANCELLABLE).
    """
    locked = await lock(tx, caller.source, order_id=order_id)
    order = locked.held.order
    if order["status"] == Status.CANCELLED or order["cancel_requested_at"] is not None:
        return locked.stored
    check_etag("order", order["version"], expected_etag)
    if order["status"] not in CANCELLABLE:
        message = f"the order is {order['status']}: it can no longer be called off"
        raise FailedPrecondition(message, reason="ORDER_NOT_CANCELLABLE", metadata={"status": order["status"]})
    await call_off(tx, caller, locked, reason)
    return locked.stored


async def call_off(tx: Transaction, caller: Caller, locked: Locked, reason: str) -> None:
    """Call an order off that can be, or ask its ERP to."""
    if locked.held.delivery["leased_revision"]:
        await _ask(tx, locked, reason)
    else:
        _cancel(locked.held, reason)
    await store(tx, caller, [locked.held])


def _cancel(held: Held, reason: str) -> None:
    """The ERP never saw the order, and never will."""
    held.order["status"] = Status.CANCELLED.value
    held.delivery["available_at"] = None
    held.tell(EventType.CANCELLED, reason=reason)


async def _ask(tx: Transaction, locked: Locked, reason: str) -> None:
    locked.held.order["cancel_requested_at"] = await tx.now()
    lines = [dict(vars(line)) for line in locked.lines]
    revision = await revise(tx, locked, lines)
    locked.held.tell(EventType.CANCEL_REQUESTED, revision=revision, reason=reason)
