"""Orders on their way to the ERP: leased to one worker at a time, and buried where they fail too often."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from tandem_server.domain.lifecycle import backoff
from tandem_server.domain.principals import Caller
from tandem_server.storage import customers, deliveries, orders
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.storage.orders import StoredOrder
from tandem_server.usecases.held import Held, store

BATCH_BYTES = 1 << 20
"""A batch ends here even if fewer orders than asked fit."""

LEASE_EXPIRED = "LEASE_EXPIRED"
"""`last_code` of an order that was buried because nobody who held it ever answered."""


@dataclass(frozen=True)
class Demand:
    """What somebody wants: up to *limit* orders of *erp* for *lease_seconds*.

    *leased_by* is what the leases are counted by, *worker* what the timeline calls who holds them.
    """

    erp: str
    leased_by: str
    worker: str
    limit: int
    lease_seconds: int


class Kind(StrEnum):
    """What the ERP has to do with a delivery."""

    NEW = "NEW"
    CHANGED = "CHANGED"
    CANCELLED = "CANCELLED"


class Delivery(NamedTuple):
    """An order in the hands of one worker, with the customer's row; `stored.delivery` tells token, expiry, attempt."""

    stored: StoredOrder
    customer: Any
    leased_at: datetime

    @property
    def kind(self) -> Kind:
        """What the ERP has to do with it."""
        if self.stored.order.cancel_requested_at is not None:
            return Kind.CANCELLED
        return Kind.CHANGED if self.stored.delivery.acked_revision else Kind.NEW


async def claim(
    tx: Transaction,
    caller: Caller,
    demand: Demand,
    *,
    max_failures: int,
    skip_locked: bool = True,
    max_bytes: int = BATCH_BYTES,
) -> list[Delivery]:
    """Lease the orders that have waited longest, all under one new token; hand them out only after the commit.

    A lease that expired counts as a failure; at *max_failures* its order becomes a dead letter instead.
    """
    token = secrets.token_urlsafe(24)
    while rows := await deliveries.waiting(tx, demand.erp, demand.limit, skip_locked=skip_locked):
        found = [Held(row) for row in deliveries.fitting(rows, max_bytes)]
        now = await tx.now()
        for held in found:
            _expire(held, now, max_failures)
        leased = [held for held in found if held.delivery["dead_at"] is None]
        for held in leased:
            _lease(held, now, demand, token)
        await store(tx, caller, found)
        if leased:
            return await _deliveries(tx, {held.id: held.row for held in leased})
    return []


def available_after_lease(expires_at: datetime, failures: int) -> datetime:
    """Return when an order can be claimed again if its lease, after *failures* failures, runs out."""
    return expires_at + timedelta(seconds=backoff(failures, random.random()))


def _expire(held: Held, now: datetime, max_failures: int) -> None:
    """Count a lease that ran out as a failure; an order that went on since starts over instead of being buried."""
    delivery = held.delivery
    if delivery["lease_token"] is None:
        return
    delivery["failures"] = 0 if held.went_on else delivery["failures"] + 1
    held.tell(EventType.EXPIRED, leased_by=delivery["leased_by"])
    if delivery["failures"] >= max_failures:
        # The token stays: a late answer of the last holder still counts.
        error = f"{delivery['failures']} deliveries failed, the last one without an answer"
        delivery.update(dead_at=now, available_at=None, last_code=LEASE_EXPIRED, last_error=error)
        held.tell(EventType.BURIED, code=LEASE_EXPIRED)


def _lease(held: Held, now: datetime, demand: Demand, token: str) -> None:
    delivery, expires_at = held.delivery, now + timedelta(seconds=demand.lease_seconds)
    delivery.update(
        attempts=delivery["attempts"] + 1,
        leased_revision=delivery["revision"],
        available_at=available_after_lease(expires_at, delivery["failures"]),
        lease_token=token,
        lease_expires_at=expires_at,
        leased_by=demand.leased_by,
    )
    held.tell(EventType.LEASED, worker=demand.worker)


async def _deliveries(tx: Transaction, leased: Mapping[str, Any]) -> list[Delivery]:
    """Return the orders of *leased* delivery rows, in the same order."""
    stored = await orders.of_deliveries(tx, leased)
    rows = await customers.by_ids(tx, sorted({each.order.customer_id for each in stored}))
    now = await tx.now()
    return [Delivery(each, rows[each.order.customer_id], now) for each in stored]
