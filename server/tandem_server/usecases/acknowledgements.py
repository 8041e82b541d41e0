"""What the ERP has stored: acknowledged by the latest holder of a lease, with the ERP's own document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from tandem_server.domain.lifecycle import Status
from tandem_server.domain.principals import Caller
from tandem_server.instruments import ACKNOWLEDGEMENTS
from tandem_server.storage import customers, deliveries
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.usecases.held import Held, hold, store
from tandem_server.usecases.parking import apply_parked


class Acknowledgement(NamedTuple):
    """The ERP has stored an order, durably; `customer_number` is its own number for the customer.

    Who holds no lease, and so has no `lease_token`, says which `revision` the ERP has stored.
    """

    order_id: str
    lease_token: str
    erp_document: str = ""
    customer_number: str = ""
    revision: int = 0


class Outcome(StrEnum):
    """What became of an acknowledgement. Of a revision that the ERP was never given, there is nothing to be found."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    ALREADY_ACKNOWLEDGED = "ALREADY_ACKNOWLEDGED"
    STALE_LEASE = "STALE_LEASE"
    DOCUMENT_CONFLICT = "DOCUMENT_CONFLICT"
    DOCUMENT_REQUIRED = "DOCUMENT_REQUIRED"
    NOT_FOUND = "NOT_FOUND"


REASONS = {
    Outcome.STALE_LEASE: "another worker holds the order, or nobody: the lease was lost",
    Outcome.DOCUMENT_CONFLICT: "the order has another document, or the document another order",
    Outcome.DOCUMENT_REQUIRED: "the first acknowledgement of an order needs an erp_document",
    Outcome.NOT_FOUND: "there is no such order for this ERP",
}
"""What is wrong, for people."""


async def acknowledge(tx: Transaction, caller: Caller, items: Sequence[Acknowledgement]) -> list[Outcome]:
    """Acknowledge orders, one outcome an item; an item that fails changes nothing and spoils no other.

    Two acknowledgements that race for one document meet at the unique key: the later unit runs again and finds it.
    """
    found = await hold(tx, caller.erp, (item.order_id for item in items))
    owners = await deliveries.owners(tx, caller.erp, (item.erp_document for item in items if item.erp_document))
    now = await tx.now()
    outcomes: list[Outcome] = []
    numbers: dict[str, str] = {}
    named: dict[str, str] = {}
    for item in items:
        held = found.get(item.order_id)
        outcome = _judge(held, item, owners) if held else Outcome.NOT_FOUND
        if held and outcome is Outcome.ACKNOWLEDGED:
            _acknowledge(held, item, now)
            if item.erp_document:
                owners[item.erp_document] = named[item.erp_document] = held.id
            if item.customer_number:
                numbers[held.order["customer_id"]] = item.customer_number
        outcomes.append(outcome)
    await store(tx, caller, found.values())
    await apply_parked(tx, caller, named)
    await customers.link(tx, numbers)
    tx.after_commit(lambda: ACKNOWLEDGEMENTS.add(outcomes))
    return outcomes


def _judge(held: Held, item: Acknowledgement, owners: dict[str, str]) -> Outcome:
    document, known = item.erp_document, held.order["erp_document"]
    claim = (_by_revision if item.revision else _by_token)(held.delivery, item)
    if held.order["erased_at"] is not None:  # it was not in the way: the ERP has it as far as it ever will
        return Outcome.ALREADY_ACKNOWLEDGED if claim is Outcome.ACKNOWLEDGED else claim
    if claim not in (Outcome.ACKNOWLEDGED, Outcome.ALREADY_ACKNOWLEDGED):
        return claim
    latest = claim is Outcome.ACKNOWLEDGED
    taken = known is not None or not latest or document in owners
    if document and taken and document != known:
        return Outcome.DOCUMENT_CONFLICT
    if latest and not document and known is None and not held.calls_off:
        return Outcome.DOCUMENT_REQUIRED
    return claim


def _by_token(delivery: Mapping[str, Any], item: Acknowledgement) -> Outcome:
    """Return what the token of *item* is good for."""
    if item.lease_token == delivery["lease_token"]:
        return Outcome.ACKNOWLEDGED
    return Outcome.ALREADY_ACKNOWLEDGED if item.lease_token == delivery["acked_token"] else Outcome.STALE_LEASE


def _by_revision(delivery: Mapping[str, Any], item: Acknowledgement) -> Outcome:
    """Return what the revision of *item* is good for: only the one leased last can be acknowledged."""
    leased = delivery["leased_revision"]
    if item.revision != leased:
        return Outcome.STALE_LEASE if item.revision < leased else Outcome.NOT_FOUND
    return Outcome.ALREADY_ACKNOWLEDGED if delivery["acked_revision"] == leased else Outcome.ACKNOWLEDGED


def _acknowledge(held: Held, item: Acknowledgement, now: datetime) -> None:
    order, delivery = held.order, held.delivery
    cancelled = held.calls_off
    if cancelled:
        order.update(status=Status.CANCELLED.value, cancel_requested_at=None)
    elif order["status"] == Status.NEW:
        order["status"] = Status.ACKNOWLEDGED.value
    if item.erp_document and order["erp_document"] is None:
        order["erp_document"] = item.erp_document
    delivery.update(
        acked_revision=delivery["leased_revision"],
        acked_token=delivery["lease_token"],
        available_at=now if held.went_on else None,
        failures=0,
        dead_at=None,
        last_code="",
        last_error="",
    )
    held.end_lease()
    held.tell(EventType.ACKNOWLEDGED, erp_document=item.erp_document, customer_number=item.customer_number)
    if cancelled:
        held.tell(EventType.CANCELLED)
