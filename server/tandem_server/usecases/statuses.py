"""What the ERP tells of orders: the furthest status, a set of shipments and a set of invoices, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from tandem_server.domain.content import digest
from tandem_server.domain.lifecycle import is_further
from tandem_server.domain.principals import Caller
from tandem_server.storage import deliveries, status_updates
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.storage.status_updates import Known
from tandem_server.usecases.held import Held, hold, store


class StatusUpdate(NamedTuple):
    """What the ERP tells of one order, named by its id or by the ERP's document.

    `status` is empty where only an invoice or shipments are told. A shipment is plain JSON: shipment_id, shipped_at,
    carrier, tracking_number, tracking_url, lines.
    """

    event_id: str
    order_id: str
    erp_document: str
    status: str
    occurred_at: datetime
    sequence: int = 0
    reason: str = ""
    invoice_number: str = ""
    shipments: Sequence[Mapping[str, Any]] = ()

    def content(self) -> dict[str, Any]:
        """Return all of it but the id, as plain JSON."""
        told = self._asdict() | {"occurred_at": _written(self.occurred_at), "shipments": list(self.shipments)}
        return {name: value for name, value in told.items() if name != "event_id"}


class Outcome(StrEnum):
    """What became of an update."""

    APPLIED = "APPLIED"
    STALE = "STALE"
    PARKED = "PARKED"
    DUPLICATE = "DUPLICATE"
    EVENT_ID_REUSED = "EVENT_ID_REUSED"
    NOT_FOUND = "NOT_FOUND"


class Result(NamedTuple):
    """What became of an update, and the order's status after it; empty where there is no such order (yet).

    Of an order that was `erased` nothing is kept but its status.
    """

    outcome: Outcome
    order_id: str = ""
    status: str = ""
    parked: bool = False
    erased: bool = False


async def update(tx: Transaction, caller: Caller, updates: Sequence[StatusUpdate]) -> list[Result]:
    """Take in *updates*, one result each; arrival order and repetitions make no difference to where orders end.

    What is parked has to be looked for again after the commit (`parking.settle`).
    """
    erp = caller.erp
    owners = await deliveries.owners(tx, erp, (each.erp_document for each in updates if each.erp_document))
    ids = [each.order_id or owners.get(each.erp_document, "") for each in updates]
    found = await hold(tx, erp, filter(None, ids))
    known = await status_updates.known(tx, erp, (each.event_id for each in updates))
    now = await tx.now()
    results: list[Result] = []
    rows: list[dict[str, Any]] = []
    for order_id, told in zip(ids, updates, strict=True):
        content = told.content()
        mark = digest(content)
        held = found.get(order_id)
        outcome = _judge(held, told, known, mark)
        if told.event_id not in known and outcome is not Outcome.NOT_FOUND and not _is_erased(held):
            known[told.event_id] = Known(mark, parked=held is None)
            whose = {"order_id": held.id if held else None, "erp_document": None if held else told.erp_document}
            own = {"event_id": told.event_id, "erp": erp, "received_at": now} | whose
            rows.append(own | {"digest": mark, "content": content, "outcome": outcome.value})
        results.append(_result(outcome, held, known.get(told.event_id)))
    await store(tx, caller, found.values())
    await status_updates.add(tx, rows)
    return results


def tell_parked(held: Held, row: Any) -> str:
    """Apply the parked update of *row* to the order that has its document now, and return the outcome."""
    occurred_at = datetime.fromisoformat(row.content["occurred_at"])
    told = StatusUpdate(**row.content | {"event_id": row.event_id, "occurred_at": occurred_at})
    return _tell(held, told, parked_at=_written(row.received_at)).value


def _judge(held: Held | None, told: StatusUpdate, known: Mapping[str, Known], mark: str) -> Outcome:
    if told.event_id in known:
        return Outcome.DUPLICATE if known[told.event_id].digest == mark else Outcome.EVENT_ID_REUSED
    if held is None:
        return Outcome.PARKED if told.erp_document else Outcome.NOT_FOUND
    return _tell_erased(held, told) if _is_erased(held) else _tell(held, told)


def _is_erased(held: Held | None) -> bool:
    return held is not None and held.order["erased_at"] is not None


def _tell_erased(held: Held, told: StatusUpdate) -> Outcome:
    """Change the status alone: what else is told may be of whoever was erased."""
    if not (told.status and is_further(told.status, held.order["status"])):
        return Outcome.STALE
    return _tell(held, told._replace(reason="", invoice_number="", shipments=()))


def _result(outcome: Outcome, held: Held | None, known: Known | None) -> Result:
    same = outcome in (Outcome.PARKED, Outcome.DUPLICATE)
    parked = same and known is not None and known.parked
    if held is None:
        return Result(outcome, parked=parked)
    return Result(outcome, held.id, held.order["status"], parked, _is_erased(held))


def _tell(held: Held, told: StatusUpdate, *, parked_at: str = "") -> Outcome:
    """Change the order by what *told* says, and tell its timeline."""
    outcome = Outcome.APPLIED if _apply(held, told) else Outcome.STALE
    held.tell(
        EventType.STATUS_UPDATED,
        outcome=outcome.value,
        status=told.status,
        reason=told.reason,
        occurred_at=_written(told.occurred_at),
        sequence=told.sequence or "",
        parked_at=parked_at,
    )
    return outcome


def _apply(held: Held, told: StatusUpdate) -> bool:
    """Change the order by what is news in *told*; tell whether anything was."""
    order = held.order
    changes: dict[str, Any] = {}
    if told.status and is_further(told.status, order["status"]):
        changes["status"] = told.status
    if told.invoice_number and told.invoice_number not in order["invoice_numbers"]:
        changes["invoice_numbers"] = sorted((*order["invoice_numbers"], told.invoice_number))
    shipments = _merged(order["shipments"], told)
    if shipments != order["shipments"]:
        changes["shipments"] = shipments
    order.update(changes)
    return bool(changes)


def _merged(stored: Mapping[str, Any], told: StatusUpdate) -> dict[str, Any]:
    """Return shipments by id: of two tellings of one the later stays, of two equally late ones always the same."""
    merged = dict(stored)
    for shipment in told.shipments:
        new = {**shipment, "occurred_at": _written(told.occurred_at)}
        old = merged.get(new["shipment_id"], new)
        merged[new["shipment_id"]] = max(old, new, key=lambda each: (each["occurred_at"], digest(each)))
    return merged


def _written(instant: datetime) -> str:
    """Write *instant* so that texts sort as instants do."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
