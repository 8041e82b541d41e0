"""What ERPs tell by webhook: every event counts once, and does what the ERP's own call of the same meaning does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from tandem_proto.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, TandemError
from tandem_server.domain.principals import Caller
from tandem_server.domain.routing import Routes
from tandem_server.instruments import WEBHOOKS
from tandem_server.storage import deliveries, erasures, erp_events
from tandem_server.storage.database import Transaction
from tandem_server.storage.erp_events import Known
from tandem_server.usecases import acknowledgements, customers, parking, statuses
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.identifiers import new_erp_event_id
from tandem_server.usecases.statuses import StatusUpdate


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "APPLIED"
    STALE = "STALE"
    DUPLICATE = "DUPLICATE"
    PARKED = "PARKED"
    REFUSED = "REFUSED"
    INVALID = "INVALID"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"


SETTLED = tuple(outcome.value for outcome in (Outcome.APPLIED, Outcome.STALE, Outcome.DUPLICATE))
"""What has had its effect; everything else can be replayed."""

OPEN = tuple(outcome.value for outcome in Outcome if outcome.value not in SETTLED)


class CustomerLink(NamedTuple):
    """The ERP has its own number for a customer."""

    customer_id: str
    erp_number: str


Action = StatusUpdate | CustomerLink | Acknowledgement


class Event(NamedTuple):
    """A verified event of the caller's ERP.

    `action` is what it asks for, None where its type is not known; `error` says what does not fit, None where all does.
    """

    caller: Caller
    event_id: str
    body: bytes
    type: str = ""
    occurred_at: datetime | None = None
    action: Action | None = None
    error: InvalidArgument | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of the body: an event is the same if its body is."""
        return sha256(self.body).hexdigest()


class Result(NamedTuple):
    """What became of an event; `code` and `reason` say why it had no effect. The ids are of what it is about.

    An event about what was `erased` is not kept.
    """

    outcome: Outcome
    code: str = ""
    reason: str = ""
    order_id: str = ""
    customer_id: str = ""
    erased: bool = False

    def stored(self) -> dict[str, str]:
        """Return all of it as columns."""
        told = self._asdict() | {"outcome": self.outcome.value}
        return {name: value for name, value in told.items() if name != "erased"}


async def receive(tx: Transaction, routes: Routes, events: Sequence[Event]) -> list[Result | TandemError]:
    """Take in *events* of one ERP, one result each. An error is to be told to the sender; what fits has none.

    Two transactions that take in one event meet at the unique key: the later runs again, and finds it.
    """
    erp = events[0].caller.erp
    known = await erp_events.known(tx, erp, (event.event_id for event in events))
    if len(events) > 1:
        await _hold(tx, erp, [event for event in events if event.event_id not in known])
    results: list[Result | TandemError] = []
    rows: list[dict[str, Any]] = []
    outcomes: list[str] = []
    for event in events:
        seen = known.get(event.event_id)
        result = _repeated(event, seen) if seen else await _apply(tx, routes, event)
        if seen is None and isinstance(result, Result) and not await _is_erased(tx, event, result):
            row = {"id": new_erp_event_id(), "received_at": await tx.now(), **_described(event), **result.stored()}
            known[event.event_id] = Known(row["id"], row["digest"], row["outcome"])
            rows.append(row)
        outcomes.append(result.outcome if isinstance(result, Result) else result.reason)
        results.append(event.error if event.error and isinstance(result, Result) else result)
    await erp_events.add(tx, rows)
    tx.after_commit(lambda: WEBHOOKS.add(outcomes))
    return results


async def replay(tx: Transaction, routes: Routes, row: Any, event: Event) -> Result:
    """Try the stored *event* of *row* again, which is OPEN, and return what became of it."""
    if row.outcome == Outcome.PARKED and isinstance(event.action, StatusUpdate):
        owners = await deliveries.owners(tx, row.erp, [event.action.erp_document])
        await parking.apply_parked(tx, event.caller, owners)
        row = (await erp_events.by_ids(tx, row.erp, [row.id]))[row.id]
        return Result(Outcome(row.outcome), order_id=row.order_id)
    result = await _apply(tx, routes, event)
    if isinstance(result, TandemError):
        result = Result(Outcome.REFUSED, result.reason, str(result))
    read = {"type": event.type, "occurred_at": event.occurred_at}  # by what Tandem knows by now
    if result.erased:
        await erp_events.remove(tx, row.id)
    else:
        await erp_events.change(tx, row.id, read | result.stored())
    return result


async def _hold(tx: Transaction, erp: str, events: Sequence[Event]) -> None:
    """Lock the orders that *events* are about all at once, in the order in which everybody locks them."""
    named = [event.action for event in events if isinstance(event.action, StatusUpdate | Acknowledgement)]
    documents = (action.erp_document for action in named if not action.order_id)
    owners = await deliveries.owners(tx, erp, documents)
    await deliveries.lock(tx, erp, {*owners.values(), *(action.order_id for action in named if action.order_id)})


async def _is_erased(tx: Transaction, event: Event, result: Result) -> bool:
    """Tell whether *event* is about what was erased; where nobody could say what it is about, its body may."""
    known = result.order_id or result.customer_id or result.outcome is Outcome.PARKED
    return result.erased or (not known and await erasures.named_in(tx, event.body))


def _described(event: Event) -> dict[str, Any]:
    names = {"event_id": event.event_id, "erp": event.caller.erp, "type": event.type, "occurred_at": event.occurred_at}
    return {**names, "digest": event.digest, "body": event.body, "bytes": len(event.body)}


def _repeated(event: Event, seen: Known) -> Result | TandemError:
    if seen.digest == event.digest:
        return Result(Outcome.DUPLICATE)
    return _reused(event.event_id)


def _reused(event_id: str) -> AlreadyExists:
    message = f"the event {event_id} was told before with other content"
    return AlreadyExists(message, reason="EVENT_ID_REUSED")


async def _apply(tx: Transaction, routes: Routes, event: Event) -> Result | TandemError:
    if event.error is not None:
        return Result(Outcome.INVALID, event.error.reason, str(event.error)[:2000])
    if isinstance(event.action, StatusUpdate):
        return await _tell_status(tx, event.caller, event.action)
    if isinstance(event.action, Acknowledgement):
        return await _acknowledge(tx, event.caller, event.action)
    if isinstance(event.action, CustomerLink):
        return await _link(tx, routes, event.caller, event.action)
    return Result(Outcome.UNKNOWN_TYPE)


async def _tell_status(tx: Transaction, caller: Caller, told: StatusUpdate) -> Result | TandemError:
    (told_of,) = await statuses.update(tx, caller, [told])
    outcome, order_id = told_of.outcome, told_of.order_id
    if outcome is statuses.Outcome.EVENT_ID_REUSED:
        return _reused(told.event_id)
    if outcome is statuses.Outcome.NOT_FOUND:
        return Result(Outcome.REFUSED, outcome.value, f"there is no order {told.order_id} for this ERP")
    return Result(Outcome(outcome), order_id=order_id, erased=told_of.erased)


ACKNOWLEDGED: Mapping[acknowledgements.Outcome, Outcome] = {
    acknowledgements.Outcome.ACKNOWLEDGED: Outcome.APPLIED,
    acknowledgements.Outcome.ALREADY_ACKNOWLEDGED: Outcome.STALE,
    acknowledgements.Outcome.STALE_LEASE: Outcome.STALE,
}
"""What an event became if this became of its acknowledgement; whatever else is refused."""


async def _acknowledge(tx: Transaction, caller: Caller, item: Acknowledgement) -> Result:
    (outcome,) = await acknowledgements.acknowledge(tx, caller, [item])
    if outcome in ACKNOWLEDGED:
        news = outcome is acknowledgements.Outcome.ACKNOWLEDGED
        heads = {} if news else await deliveries.heads(tx, [item.order_id])
        erased = any(head.erased_at is not None for head in heads.values())
        return Result(ACKNOWLEDGED[outcome], order_id=item.order_id, erased=erased)
    if outcome is acknowledgements.Outcome.NOT_FOUND:
        reason = f"this ERP was given no revision {item.revision} of {item.order_id}"
        return Result(Outcome.REFUSED, outcome.value, reason)
    return Result(Outcome.REFUSED, outcome.value, acknowledgements.REASONS[outcome], item.order_id)


async def _link(tx: Transaction, routes: Routes, caller: Caller, link: CustomerLink) -> Result:
    try:
        _, news = await customers.link(tx, routes, caller, *link)
    except NotFound as error:
        return Result(Outcome.REFUSED, error.reason, f"{error} for this ERP")
    except FailedPrecondition as error:
        return Result(Outcome.REFUSED, error.reason, str(error), customer_id=link.customer_id, erased=True)
    return Result(Outcome.APPLIED if news else Outcome.STALE, customer_id=link.customer_id)
