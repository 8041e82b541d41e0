"""What the holder of a lease does with it but acknowledge: reject the order, give it back, hold it longer."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tandem_server.domain.lifecycle import backoff
from tandem_server.domain.principals import Caller
from tandem_server.storage.database import Transaction
from tandem_server.storage.events import EventType
from tandem_server.usecases.deliveries import Delivery, available_after_lease
from tandem_server.usecases.held import Held, hold, store


class Rejection(NamedTuple):
    """The ERP has not stored an order: for now, for good (`permanent`), or it was not even tried (`release`)."""

    order_id: str
    lease_token: str
    code: str
    reason: str
    field: str = ""
    permanent: bool = False
    release: bool = False
    retry_after_seconds: int = 0


class RejectionOutcome(StrEnum):
    """What became of a rejection."""

    REJECTED = "REJECTED"
    BURIED = "BURIED"
    RELEASED = "RELEASED"
    STALE_LEASE = "STALE_LEASE"
    NOT_FOUND = "NOT_FOUND"


class ExtensionOutcome(StrEnum):
    """What became of an extension."""

    EXTENDED = "EXTENDED"
    STALE_LEASE = "STALE_LEASE"
    NOT_FOUND = "NOT_FOUND"


class Extension(NamedTuple):
    """What became of an extension; `superseded` where the order was changed since it was leased."""

    outcome: ExtensionOutcome
    expires_at: datetime | None = None
    superseded: bool = False


async def reject(
    tx: Transaction, caller: Caller, items: Sequence[Rejection], *, max_failures: int
) -> list[RejectionOutcome]:
    """Reject orders, one outcome an item; the *max_failures*-th failure of an order makes it a dead letter."""
    found = await hold(tx, caller.erp, (item.order_id for item in items))
    now = await tx.now()
    outcomes = [_end(found.get(item.order_id), item, now, max_failures) for item in items]
    await store(tx, caller, found.values())
    return outcomes


async def give_back(tx: Transaction, caller: Caller, unsent: Iterable[Delivery]) -> None:
    """Release what was claimed for somebody who left before it was sent."""
    items = [
        Rejection(each.stored.order.id, each.stored.delivery.lease_token, "NOT_SENT", "never sent", release=True)
        for each in unsent
    ]
    await reject(tx, caller, items, max_failures=1)


async def extend(
    tx: Transaction, caller: Caller, leases: Sequence[tuple[str, str]], lease_seconds: int
) -> list[Extension]:
    """Let leases, as (order id, token), end *lease_seconds* from now: one outcome each."""
    found = await hold(tx, caller.erp, (order_id for order_id, _ in leases))
    expires_at = await tx.now() + timedelta(seconds=lease_seconds)
    extensions = [_extend(found.get(order_id), token, expires_at) for order_id, token in leases]
    await store(tx, caller, found.values())
    return extensions


def _end(held: Held | None, item: Rejection, now: datetime, max_failures: int) -> RejectionOutcome:
    if held is None:
        return RejectionOutcome.NOT_FOUND
    if item.lease_token != held.delivery["lease_token"]:
        return RejectionOutcome.STALE_LEASE
    held.end_lease()
    if item.release:
        held.delivery.update(available_at=now, dead_at=None)
        held.tell(EventType.RELEASED, code=item.code, reason=item.reason)
        return RejectionOutcome.RELEASED
    held.delivery.update(last_code=item.code, last_error=item.reason)
    held.tell(EventType.REJECTED, code=item.code, reason=item.reason, field=item.field, permanent=item.permanent or "")
    if held.went_on:
        # What failed was an older revision: the new one starts over.
        held.delivery.update(failures=0, available_at=now, dead_at=None)
        return RejectionOutcome.REJECTED
    if item.permanent and held.calls_off:
        _refuse_cancel(held, now)
        return RejectionOutcome.REJECTED
    return _fail(held, item, now, max_failures)


def _refuse_cancel(held: Held, now: datetime) -> None:
    """Take the ERP's no to a cancel for an answer; an order that it never acknowledged goes out again, as it is."""
    held.order["cancel_requested_at"] = None
    acked = held.delivery["acked_revision"] > 0
    held.delivery.update(failures=0, available_at=None if acked else now, dead_at=None)
    if acked:
        held.delivery["acked_revision"] = held.delivery["leased_revision"]


def _fail(held: Held, item: Rejection, now: datetime, max_failures: int) -> RejectionOutcome:
    failures = held.delivery["failures"] + 1
    held.delivery["failures"] = failures
    if item.permanent or failures >= max_failures:
        held.delivery.update(available_at=None, dead_at=now)
        held.tell(EventType.BURIED, code=item.code)
        return RejectionOutcome.BURIED
    pause = max(backoff(failures, random.random()), item.retry_after_seconds)
    held.delivery["available_at"] = now + timedelta(seconds=pause)
    return RejectionOutcome.REJECTED


def _extend(held: Held | None, token: str, expires_at: datetime) -> Extension:
    if held is None:
        return Extension(ExtensionOutcome.NOT_FOUND)
    delivery = held.delivery
    if token != delivery["lease_token"]:
        return Extension(ExtensionOutcome.STALE_LEASE)
    available_at = available_after_lease(expires_at, delivery["failures"])
    delivery.update(lease_expires_at=expires_at, available_at=available_at, dead_at=None)
    return Extension(ExtensionOutcome.EXTENDED, expires_at, superseded=held.went_on)
