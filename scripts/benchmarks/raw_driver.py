"""The floor: the same work on the same tables with the database's driver and nothing else."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy.engine import make_url

from benchmarks import samples
from benchmarks.clocks import stretch
from benchmarks.databases import Database
from benchmarks.loops import keep_calling
from benchmarks.places import Place
from benchmarks.results import Reading
from benchmarks.templates import Rows

CLAIM = (
    "SELECT order_id FROM deliveries FORCE INDEX (ix_deliveries_claim) WHERE erp = 'default' "
    "AND available_at <= UTC_TIMESTAMP(6) ORDER BY available_at, order_id LIMIT %s FOR UPDATE SKIP LOCKED"
)
LEASE = (
    "UPDATE deliveries SET lease_token = %s, lease_expires_at = UTC_TIMESTAMP(6) + INTERVAL 60 SECOND, "
    "available_at = UTC_TIMESTAMP(6) + INTERVAL 60 SECOND, leased_by = 'raw', attempts = attempts + 1, "
    "leased_revision = revision WHERE order_id IN %s"
)
READ_ORDERS = "SELECT customer_id, orders.* FROM orders WHERE id IN %s"
READ_LINES = "SELECT * FROM order_lines WHERE order_id IN %s"
READ_CUSTOMER = "SELECT * FROM customers WHERE external_id = %s AND source = 'crm'"
READ_CUSTOMERS = "SELECT * FROM customers WHERE id IN %s"
ACKNOWLEDGE = (
    "UPDATE deliveries SET acked_token = lease_token, acked_revision = leased_revision, available_at = NULL, "
    "lease_token = NULL, lease_expires_at = NULL, leased_by = NULL WHERE order_id IN %s AND lease_token = %s"
)
ACCEPT = (
    "UPDATE orders SET status = 'ACKNOWLEDGED', erp_document = CONCAT('SO-', external_id), version = version + 1, "
    "updated_at = UTC_TIMESTAMP(6) WHERE id IN %s"
)
JUDGED = (
    "SELECT order_id, leased_revision, acked_revision, lease_token, acked_token, attempts, next_seq, status, version, "
    "erp_document FROM deliveries JOIN orders ON id = order_id WHERE order_id IN %s FOR UPDATE"
)
OWNERS = "SELECT erp_document, id FROM orders WHERE erp_document IN %s AND erp = 'default'"
TELL = (
    "INSERT INTO order_events (order_id, seq, type, at, actor, revision, attempt, detail, request_id, trace_id) "
    "SELECT order_id, next_seq, %s, UTC_TIMESTAMP(6), 'raw', leased_revision, attempts, %s, %s, '' FROM deliveries "
    "WHERE order_id IN %s"
)
COUNT = "UPDATE deliveries SET next_seq = next_seq + 1 WHERE order_id IN %s"
READ_COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


class Connection:
    """One connection of the driver, in a transaction at all times."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def execute(self, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
        """Execute *statement* and return its rows."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, values or None)
            return list(await cursor.fetchall()) if cursor.description else []

    async def commit(self) -> None:
        """Commit; the next transaction begins by itself."""
        await self._connection.commit()


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[Connection]:
    """Connect with the driver of the server's URL."""
    url = make_url(database.admin)
    driver = importlib.import_module(url.get_driver_name())
    connection = await driver.connect(
        host=url.host, port=url.port or 3306, user=url.username or "root", password=url.password or "", db=url.database
    )
    try:
        opened = Connection(connection)
        await opened.execute(READ_COMMITTED)
        yield opened
    finally:
        connection.close()


async def drain(place: Place, batch: int) -> Reading:
    """Claim, read and acknowledge all that waits, *batch* orders at a time."""
    return await _drain(place, batch, whole=False)


async def drain_whole(place: Place, batch: int) -> Reading:
    """Do the same and what is promised besides: timelines, and a look at each order and document before its ack."""
    return await _drain(place, batch, whole=True)


async def _drain(place: Place, batch: int, *, whole: bool) -> Reading:
    count = 0
    async with connected(place.database) as connection:
        with stretch(place.pids) as seen:
            while ids := await _claim(connection, batch, whole=whole):
                count += len(ids)
    return seen.rate(count)


async def _claim(connection: Connection, batch: int, *, whole: bool) -> list[str]:
    """Take one batch all the way, and return its orders' ids."""
    token = secrets.token_urlsafe(24)
    ids = [str(row[0]) for row in await connection.execute(CLAIM, batch)]
    if ids:
        await connection.execute(LEASE, token, ids)
        if whole:
            await _tell(connection, "LEASED", ids)
        orders = await connection.execute(READ_ORDERS, ids)
        await connection.execute(READ_LINES, ids)
        await connection.execute(READ_CUSTOMERS, sorted({order[0] for order in orders}))
    await connection.commit()
    if ids:
        if whole:
            await connection.execute(JUDGED, ids)
            await connection.execute(OWNERS, [f"SO-{order[3]}" for order in orders])
        await connection.execute(ACKNOWLEDGE, ids, token)
        await connection.execute(ACCEPT, ids)
        if whole:
            await _tell(connection, "ACKNOWLEDGED", ids)
        await connection.commit()
    return ids


async def _tell(connection: Connection, event: str, ids: list[str]) -> None:
    """Write a line on the timeline of each order."""
    await connection.execute(TELL, event, '{"worker":"raw"}', secrets.token_hex(16), ids)
    await connection.execute(COUNT, ids)


async def create(place: Place, rows: Rows, connections: int, seconds: float) -> Reading:
    """Store orders with the *rows* of one, each in a transaction of its own, on so many connections at once."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connected(place.database)) for _ in range(connections)]
        calls = [partial(_create, connection, rows) for connection in opened]
        return await keep_calling(calls, seconds, place.pids)


async def _create(connection: Connection, rows: Rows) -> None:
    own = secrets.token_hex(13)
    order_id, external_id = f"ord_{own}", f"R{own}"
    await connection.execute(READ_CUSTOMER, samples.CUSTOMER)
    for table, stored in rows.items():
        told = {"id": order_id, "external_id": external_id} if table == "orders" else {"order_id": order_id}
        if stored:
            values = [tuple((row | told).values()) for row in map(dict, stored)]
            places = ", ".join(["%s"] * len(values))
            await connection.execute(f"INSERT INTO {table} ({', '.join(stored[0])}) VALUES {places}", *values)  # noqa: S608
    await connection.commit()
