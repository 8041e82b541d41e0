"""Queries of what is left of an erased customer in other tables than that of customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import and_, delete, func, or_, select, tuple_, update

from tandem_server.domain.erasure import LINE, TOLD, keys_in
from tandem_server.storage import erasures
from tandem_server.storage.database import Transaction
from tandem_server.storage.tables import (
    erp_events,
    idempotency_keys,
    import_faults,
    imports,
    order_events,
    order_lines,
    orders,
    status_updates,
)

ROWS = 500
"""What is read, or deleted, at once."""

WITHOUT_EFFECT = ("REFUSED", "INVALID", "UNKNOWN_TYPE")

Place = tuple[str, int]
"""Where an import's row is that is not stored: the import, and the row's number; empty before the first."""


async def heads(tx: Transaction, ids: Sequence[str]) -> dict[str, Any]:
    """Return the rows of the orders with *ids*, by id."""
    return {row.id: row for row in await tx.rows(select(orders).where(orders.c.id.in_(ids)))}


async def blank_orders(tx: Transaction, ids: Sequence[str]) -> None:
    """Take every text from the lines and events of the locked orders with *ids*, and what the ERP told of them."""
    lines = order_lines.c
    now = select(orders.c.revision).where(orders.c.id == lines.order_id).scalar_subquery()
    await tx.execute(delete(order_lines).where(lines.order_id.in_(ids), lines.revision != now))
    await tx.execute(update(order_lines).where(lines.order_id.in_(ids)).values(**LINE))
    await _blank_events(tx, ids)
    await tx.execute(delete(status_updates).where(status_updates.c.order_id.in_(ids)))
    await tx.execute(delete(erp_events).where(erp_events.c.order_id.in_(ids)))
    await _forget_naming(tx, ids)


async def _blank_events(tx: Transaction, ids: Sequence[str]) -> None:
    columns = order_events.c
    rows = await tx.rows(select(columns.order_id, columns.seq, columns.detail).where(columns.order_id.in_(ids)))
    alike: dict[bytes, list[Place]] = defaultdict(list)
    for row in rows:
        told = {name: value for name, value in row.detail.items() if name in TOLD}
        if told != row.detail:
            alike[orjson.dumps(told, option=orjson.OPT_SORT_KEYS)].append((row.order_id, row.seq))
    for told_by, places in alike.items():
        for start in range(0, len(places), ROWS):
            some = tuple_(columns.order_id, columns.seq).in_(places[start : start + ROWS])
            await tx.execute(update(order_events).where(some).values(detail=orjson.loads(told_by)))
    await tx.execute(update(order_events).where(columns.order_id.in_(ids)).values(request_id=""))


async def forget_events(tx: Transaction, customer_id: str) -> None:
    """Delete what ERPs told of a customer by webhook."""
    await tx.execute(delete(erp_events).where(erp_events.c.customer_id == customer_id))
    await _forget_naming(tx, [customer_id])


async def _forget_naming(tx: Transaction, ids: Sequence[str]) -> None:
    """Delete webhook events without effect whose bodies name one of *ids*."""
    columns = erp_events.c
    naming = or_(*(func.instr(columns.body, each.encode()) > 0 for each in ids))
    query = select(columns.id).where(columns.outcome.in_(WITHOUT_EFFECT), naming)
    if found := sorted(row.id for row in await tx.rows(query)):
        await tx.execute(delete(erp_events).where(columns.id.in_(found)))


async def forget_replies(tx: Transaction, customer_id: str) -> bool:
    """Delete up to 500 replies that are kept for repetitions and tell of a customer; tell whether there may be more.

    Of those that were kept before replies said whom they tell of, the reply itself is looked through.
    """
    kept = idempotency_keys.c
    unknown = and_(kept.customer_id.is_(None), func.instr(kept.response, customer_id.encode()) > 0)
    query = select(*idempotency_keys.primary_key).where(or_(kept.customer_id == customer_id, unknown)).limit(ROWS)
    places = [tuple(vars(row).values()) for row in await tx.rows(query)]
    if places:
        await tx.execute(delete(idempotency_keys).where(tuple_(*idempotency_keys.primary_key).in_(places)))
    return len(places) == ROWS


async def blank_faults(tx: Transaction, source: str, after: Place) -> Place | None:
    """Blank what holds an erased key of 500 rows of imports that are not stored; return where to go on.

    Such a row is found by its cells, whether they were keys of the customer or are told again after it was erased.
    """
    columns = import_faults.c
    behind = or_(columns.import_id > after[0], and_(columns.import_id == after[0], columns.row_number > after[1]))
    query = select(columns.import_id, columns.row_number, columns.original, imports.c.header)
    query = query.join(imports, and_(imports.c.id == columns.import_id, imports.c.source == columns.source))
    query = query.where(columns.source == source, behind).order_by(columns.import_id, columns.row_number)
    rows = await tx.rows(query.limit(ROWS))
    keys = {(row.import_id, row.row_number): set(keys_in(source, row.header, row.original)) for row in rows}
    erased = await erasures.among(tx, source, (key for some in keys.values() for key in some))
    if places := [place for place, some in keys.items() if some & erased]:
        found = tuple_(columns.import_id, columns.row_number).in_(places)
        gone = {"reason": "ERASED", "errors": [], "original": []}
        await tx.execute(update(import_faults).where(columns.source == source, found).values(**gone))
    return (rows[-1].import_id, rows[-1].row_number) if len(rows) == ROWS else None
