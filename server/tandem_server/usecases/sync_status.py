"""How far the two systems are in step, counted now and then for everybody who asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tandem_server.domain.principals import Principal
from tandem_server.domain.routing import Routes
from tandem_server.storage import sync_status as stored
from tandem_server.storage.database import Database

SECONDS = 10.0
"""How old the counts that are told may be."""


@dataclass
class Queue:
    """What one ERP still has to learn: how many deliveries are in each state, and since when the oldest waits.

    And what it told that has not had its effect: `parked` updates, and `refused` events; `last_event_at` is its last.
    """

    states: Counter[str] = field(default_factory=Counter)
    waiting_since: datetime | None = None
    parked: int = 0
    refused: int = 0
    last_event_at: datetime | None = None


@dataclass(frozen=True)
class SyncStatus:
    """How far the two systems are in step, as one caller may see it: orders by status, queues by ERP, last imports."""

    counted_at: datetime
    orders: Mapping[str, int]
    queues: Mapping[str, Queue]
    last_imports: Sequence[Any]


class StatusBoard:
    """Counts when somebody asks and what it knows is older than *seconds*."""

    def __init__(self, database: Database, routes: Routes, *, seconds: float = SECONDS) -> None:
        self._database = database
        self._routes = routes
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._counts: stored.Counts | None = None
        self._counted = 0.0

    async def read(self, principal: Principal) -> SyncStatus:
        """Return what *principal* may see; whoever asks while it counts waits for that. Raises Unavailable."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._counts is None or now >= self._counted + self._seconds:
                self._counts, self._counted = await self._database.read(stored.count), now
        return self._seen_by(principal, self._counts)

    def _seen_by(self, principal: Principal, counts: stored.Counts) -> SyncStatus:
        queues = {erp: _queue(erp, counts) for erp in sorted(self._erps(principal, counts))}
        for row in counts.deliveries:
            if _belongs(row, principal):
                queue = queues.setdefault(row.erp, _queue(row.erp, counts))
                queue.states[row.state] += row.number
                if row.state == "waiting":
                    queue.waiting_since = min(queue.waiting_since or row.since, row.since)
        told: Counter[str] = Counter()
        for row in counts.orders:
            told[row.status] += row.number if _belongs(row, principal) else 0
        last_imports = [row for row in counts.last_imports if _belongs(row, principal)]
        return SyncStatus(counts.at, told, queues, last_imports)

    def _erps(self, principal: Principal, counts: stored.Counts) -> set[str]:
        if principal.source is None:
            return {*counts.erps, *counts.parked, *counts.last_events}
        return {erp} if (erp := self._routes.erp_of(principal.source)) else set()


def _queue(erp: str, counts: stored.Counts) -> Queue:
    """Return the queue of *erp* without its deliveries."""
    parked, refused = counts.parked.get(erp, 0), counts.refused.get(erp, 0)
    return Queue(parked=parked, refused=refused, last_event_at=counts.last_events.get(erp))


def _belongs(row: Any, principal: Principal) -> bool:
    return principal.source in (None, row.source)
