"""How much each ERP still has to learn, counted often: by indexes alone where there may be much."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import case, func, select

from tandem_server.storage.database import Transaction
from tandem_server.storage.deliveries import erps as all_erps
from tandem_server.storage.dialects import by_index
from tandem_server.storage.tables import deliveries


class Backlog(NamedTuple):
    """Deliveries of one ERP that are not done, by state, and for how long the first of them has been claimable."""

    waiting: int = 0
    leased: int = 0
    backing_off: int = 0
    dead: int = 0
    age: timedelta = timedelta()


async def backlogs(tx: Transaction) -> dict[str, Backlog]:
    """Return the backlog of every ERP that ever was to get an order."""
    erps = await all_erps(tx)
    found = {erp: Backlog() for erp in erps}
    columns, now, number = deliveries.c, await tx.now(), func.count().label("number")
    by_erp = select(columns.erp, number).group_by(columns.erp)
    claims = by_index(by_erp.where(columns.erp.in_(erps)), deliveries, "ix_deliveries_claim")
    since = func.min(columns.available_at).label("since")
    for row in await tx.rows(claims.add_columns(since).where(columns.available_at <= now)):
        found[row.erp] = found[row.erp]._replace(waiting=row.number, age=now - row.since)
    leased = func.sum(case((columns.lease_expires_at > now, 1), else_=0)).label("leased")
    for row in await tx.rows(claims.add_columns(leased).where(columns.available_at > now)):
        held = int(row.leased)
        found[row.erp] = found[row.erp]._replace(leased=held, backing_off=row.number - held)
    dead = by_index(by_erp.where(columns.dead_at.is_not(None)), deliveries, "ix_deliveries_dead")
    for row in await tx.rows(dead):
        found[row.erp] = found[row.erp]._replace(dead=row.number)
    return found
