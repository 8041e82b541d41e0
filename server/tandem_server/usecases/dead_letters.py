"""Dead letters: orders that nobody gets any more, until they are replayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from tandem_server.domain.principals import Caller
from tandem_server.storage import dead_letters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.dead_letters import DeadFilters
from tandem_server.storage.events import EventType
from tandem_server.usecases.held import Held, hold, store

CHUNK = 500
"""Orders a transaction: locks are short, whatever is replayed."""

MOST = 10_000
"""Orders that one call replays at most by what they have in common."""


class Outcome(StrEnum):
    """What became of one order."""

    REPLAYED = "REPLAYED"
    NOT_DEAD = "NOT_DEAD"
    NOT_FOUND = "NOT_FOUND"


class Replayed(NamedTuple):
    """How many orders were replayed, and whether more than one call takes are left."""

    number: int
    more: bool


async def replay_by_ids(database: Database, caller: Caller, ids: Sequence[str]) -> list[Outcome]:
    """Make the dead letters among *ids* claimable, one outcome an id."""
    outcomes: list[Outcome] = []
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        outcomes += await database.write(partial(replay, caller=caller, ids=part))
    return outcomes


async def replay_found(database: Database, caller: Caller, filters: DeadFilters, *, most: int = MOST) -> Replayed:
    """Make the dead letters that pass *filters* claimable, up to *most*.

    Goes by id, once: an order that dies again meanwhile is not replayed again.
    """
    number, last_id, more = 0, "", True
    for _ in range(0, most, CHUNK):
        chunk = await database.write(partial(_replay_chunk, caller=caller, filters=filters, after_id=last_id))
        number, last_id, more = number + chunk.number, chunk.last_id, chunk.more
        if not more:
            break
    return Replayed(number, more)


async def replay(tx: Transaction, caller: Caller, ids: Sequence[str]) -> list[Outcome]:
    """Make the dead letters among up to 500 *ids* claimable in one transaction, one outcome an id."""
    found = await hold(tx, caller.principal.erp, ids)
    now = await tx.now()
    outcomes = [_replay(found.get(order_id), now) for order_id in ids]
    await store(tx, caller, found.values())
    return outcomes


class _Chunk(NamedTuple):
    number: int
    last_id: str
    more: bool


async def _replay_chunk(tx: Transaction, caller: Caller, filters: DeadFilters, after_id: str) -> _Chunk:
    rows = await dead_letters.rows(tx, filters, after_id=after_id, limit=CHUNK + 1)
    ids = [row.order_id for row in rows[:CHUNK]]
    outcomes = await replay(tx, caller, ids)
    return _Chunk(outcomes.count(Outcome.REPLAYED), ids[-1] if ids else "", len(rows) > CHUNK)


def _replay(held: Held | None, now: datetime) -> Outcome:
    if held is None:
        return Outcome.NOT_FOUND
    if held.delivery["dead_at"] is None:
        return Outcome.NOT_DEAD
    # Whoever held it last is out: the lease that ran out has been counted.
    held.end_lease()
    held.delivery.update(available_at=now, failures=0, dead_at=None)
    held.tell(EventType.REPLAYED)
    return Outcome.REPLAYED
