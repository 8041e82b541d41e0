"""The timeline of an order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select

from tandem_server.domain.principals import Caller
from tandem_server.instruments import ORDER_EVENTS
from tandem_server.storage.database import Record, Transaction
from tandem_server.storage.tables import order_events


class EventType(StrEnum):
    """What can happen to an order."""

    CREATED = "CREATED"
    AMENDED = "AMENDED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCELLED = "CANCELLED"
    LEASED = "LEASED"
    EXPIRED = "EXPIRED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    REJECTED = "REJECTED"
    RELEASED = "RELEASED"
    BURIED = "BURIED"
    REPLAYED = "REPLAYED"
    STATUS_UPDATED = "STATUS_UPDATED"
    ERASED = "ERASED"


@dataclass(frozen=True)
class Event:
    """One line of a timeline; `seq` is counted on the order's locked delivery row (`next_seq`), from 1."""

    order_id: str
    seq: int
    type: EventType
    revision: int
    attempt: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


async def append(tx: Transaction, caller: Caller, events: Iterable[Event]) -> None:
    """Write *events*, all at the transaction's time and by *caller*."""
    await add(tx, [(caller, event) for event in events])


async def add(tx: Transaction, events: Iterable[tuple[Caller, Event]]) -> None:
    """Write events with who caused each, all at the transaction's time."""
    at = await tx.now()
    if rows := [vars(event) | _origin(caller) | {"at": at} for caller, event in events]:
        await tx.execute(insert(order_events), rows)
        tx.after_commit(lambda: ORDER_EVENTS.add(row["type"] for row in rows))


def _origin(caller: Caller) -> dict[str, str]:
    return {
        "actor": caller.principal.name,
        "request_id": caller.request_id[:200],
        "trace_id": caller.trace_id,
    }


async def page(tx: Transaction, order_id: str, *, after_seq: int, limit: int) -> tuple[Sequence[Record], bool]:
    """Return at most *limit* events of an order behind *after_seq*, as they happened, and whether there are more."""
    query = select(order_events).where(order_events.c.order_id == order_id, order_events.c.seq > after_seq)
    rows = await tx.rows(query.order_by(order_events.c.seq).limit(limit + 1))
    return rows[:limit], len(rows) > limit
