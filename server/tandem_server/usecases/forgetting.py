"""What is deleted when it is old, a few rows at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from tandem_server.instruments import DELETED_ROWS
from tandem_server.storage import old_rows
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.old_rows import Kind
from tandem_server.usecases.erp_events import OPEN, SETTLED, Outcome
from tandem_server.usecases.imports import ROWS_KEPT
from tandem_server.usecases.queues import happens

log = logging.getLogger(__name__)

FEWEST, FIRST, MOST = 20, 100, 200
"""Rows that one transaction deletes: half as many after one that took long, twice as many after one that did not."""

LONG_SECONDS = 0.025
"""A quarter of the tenth of a second that nobody is to be held up for: one in thousands takes four times as long."""

MOST_BATCHES = 2000
"""Transactions of one rule and round; what is left is for the next round."""

PAUSES = 5
"""The next transaction waits so many times as long as the last one took: most of the time is the others'."""


class Rule(NamedTuple):
    """Rows of one kind are deleted at some age."""

    name: str
    kind: Kind
    age: timedelta


A_DAY = timedelta(days=1)

RULES: Sequence[Rule] = (
    Rule("idempotency_keys", old_rows.REPLIES, 7 * A_DAY),
    # Senders repeat events for about three days.
    Rule("settled_events", old_rows.events([*SETTLED, Outcome.UNKNOWN_TYPE]), 7 * A_DAY),
    # Somebody may have to look at them. A parked update is kept all the same, and still applied when it can be.
    Rule("open_events", old_rows.events([outcome for outcome in OPEN if outcome != Outcome.UNKNOWN_TYPE]), 90 * A_DAY),
    # Readers are told a day before that there are none any more, so nobody is in the middle of them.
    Rule("import_rows", old_rows.IMPORT_ROWS, ROWS_KEPT + A_DAY),
    Rule("order_revisions", old_rows.OLD_REVISIONS, A_DAY),
    Rule("exports", old_rows.EXPORTS, 90 * A_DAY),
)


class Batch(NamedTuple):
    """One transaction: rows it deleted, whether there may be more, and how long it took."""

    rows: int
    more: bool
    seconds: float


async def forget(database: Database, rule: Rule, closing: asyncio.Event) -> None:
    """Delete all that *rule* says, or as much as there is time for before *closing*; replicas may all do so at once."""
    batches: list[Batch] = []
    limit, goes_on = FIRST, True
    while goes_on and len(batches) < MOST_BATCHES:
        batch = await _batch(database, rule, limit)
        batches.append(batch)
        goes_on = batch.more and not await happens(closing, PAUSES * batch.seconds)
        limit = max(FEWEST, limit // 2) if batch.seconds > LONG_SECONDS else min(MOST, limit * 2)
    if rows := sum(batch.rows for batch in batches):
        slowest = round(1000 * max(batch.seconds for batch in batches), 1)
        told = {"kind": rule.name, "rows": rows, "batches": len(batches), "slowest_ms": slowest}
        log.info("deleted what was too old", extra=told)


async def _batch(database: Database, rule: Rule, limit: int) -> Batch:
    started = 0.0

    async def unit(tx: Transaction) -> old_rows.Deleted:
        nonlocal started
        started = time.perf_counter()
        deleted = await old_rows.delete_old(tx, rule.kind, await tx.now() - rule.age, limit)
        tx.after_commit(lambda: DELETED_ROWS.add([rule.name], deleted.rows))
        return deleted

    deleted = await database.write(unit)
    return Batch(*deleted, time.perf_counter() - started)
