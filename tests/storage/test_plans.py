"""What is asked often is answered from its index, on empty tables as on full ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from erp.conftest import open_one
from erp.desk import Desk
from sqlalchemy import Table, event, insert, select, text

from tandem_server.storage import (
    customers,
    dead_letters,
    deliveries,
    erp_events,
    old_rows,
    orders,
    status_updates,
    sync_status,
)
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.dead_letters import DeadFilters
from tandem_server.storage.erp_events import EventFilters
from tandem_server.storage.orders import OrderFilters
from tandem_server.storage.tables import metadata
from tandem_server.usecases import forgetting

from .aged import RULES, aged, store

pytestmark = pytest.mark.parametrize("database", ["mysql"], indirect=True, scope="session")

ROWS = 20_000
NOW, WEEK = datetime.now(UTC), timedelta(days=7)
MANY = [f"y{n}" for n in range(500)]
NEW = OrderFilters(source="crm-erp", statuses=["NEW"])
Query = Callable[[Transaction], Awaitable[Any]]

QUERIES: dict[str, Query] = {
    "ix_deliveries_claim": lambda tx: deliveries.waiting(tx, "erp", 100, skip_locked=True),
    "ix_deliveries_leased_by": lambda tx: deliveries.outstanding(tx, "w"),
    "ix_deliveries_dead": lambda tx: dead_letters.rows(tx, DeadFilters(erp="erp"), after_id="ord_0", limit=51),
    "PRIMARY": lambda tx: deliveries.lock(tx, "erp", MANY),
    "ix_orders_status": lambda tx: orders.page(tx, NEW, after_id="", newest_first=False, limit=50),
    "uq_orders_external": lambda tx: orders.by_external_ids(tx, "crm-erp", MANY),
    "uq_orders_document": lambda tx: deliveries.owners(tx, "erp", MANY),
    "ix_customers_email": lambda tx: customers.page(
        tx, CustomerFilters("crm-erp", email="x7@example.com"), after_id="", newest_first=False, limit=50
    ),
    "uq_customers_external": lambda tx: customers.by_external_ids(tx, "crm-erp", MANY),
    "ix_status_updates_document": lambda tx: status_updates.parked_documents(tx, "erp", MANY),
    "ix_status_updates_order": lambda tx: status_updates.overdue(tx, NOW - timedelta(days=1), 500),
    "uq_erp_events_event": lambda tx: erp_events.known(tx, "erp", MANY),
    "ix_erp_events_order": lambda tx: erp_events.page(
        tx, EventFilters(order_id="ord_100"), after_id="", newest_first=False, limit=50
    ),
    "ix_erp_events_outcome": sync_status._refused,  # noqa: SLF001 - one of the many that `count` asks
    "ix_erp_events_erp": sync_status._last_events,  # noqa: SLF001
    "ix_erp_events_age": lambda tx: old_rows.delete_old(tx, old_rows.events(["REFUSED", "INVALID"]), NOW - WEEK, 500),
    "ix_idempotency_keys_created": lambda tx: old_rows.delete_old(tx, old_rows.REPLIES, NOW - WEEK, 500),
    "ix_exports_started": lambda tx: old_rows.delete_old(tx, old_rows.EXPORTS, NOW - WEEK, 500),
    "ix_imports_rows": lambda tx: old_rows.delete_old(tx, old_rows.IMPORT_ROWS, NOW - WEEK, 500),
    "ix_old_revisions_superseded": lambda tx: old_rows.delete_old(tx, old_rows.OLD_REVISIONS, NOW - WEEK, 500),
    "ix_imports_last": sync_status._last_imports,  # noqa: SLF001 - likewise
}


@pytest.fixture(scope="session")
def urls(database: str, make_database: Callable[[str], str]) -> dict[str, str]:
    return {"empty": make_database(database), "full": make_database(database)}


@pytest.fixture(params=["empty", "full"])
async def filled(request: pytest.FixtureRequest, urls: dict[str, str]) -> AsyncIterator[Database]:
    opened = await open_one(urls[request.param])
    if request.param == "full":
        await fill(opened)
    yield opened
    await opened.close()


async def fill(database: Database) -> None:
    """Multiply one order and its customer; one in a hundred is new, dead, or waits for its document."""
    desk = Desk(database, "erp", count(1))
    if await database.read(lambda tx: tx.rows(select(metadata.tables["orders"].c.id).limit(1))):
        return
    desk = await Desk.opened(database, "erp")
    await desk.place()
    for table in (metadata.tables[name] for name in ("customers", "orders", "deliveries")):
        (pattern,) = await database.read(lambda tx, table=table: tx.rows(select(table)))  # type: ignore[misc]
        await add(database, table, [vars(pattern) | variant(table.name, n) for n in range(ROWS)])
    told = {"erp": "erp", "digest": "d", "content": {}, "received_at": NOW - timedelta(days=2)}
    done, parked = {"order_id": "ord", "erp_document": None}, {"order_id": None, "erp_document": "D"}
    rows = [told | {"event_id": f"e{n}", "outcome": "X"} | (done if n % 100 else parked) for n in range(ROWS)]
    await add(database, metadata.tables["status_updates"], rows)
    await add(database, metadata.tables["erp_events"], [an_event(n) for n in range(ROWS)])
    for rule in (name for name in RULES if not name.endswith("events")):
        days = (timedelta(days=99 if n % 100 == 0 else 0) for n in range(ROWS // 10))
        parts = [aged(rule, f"y{n}", NOW - passed) for n, passed in enumerate(days)]
        for name in parts[0]:
            await add(database, metadata.tables[name], [row for part in parts for row in part[name]])


def an_event(number: int) -> dict[str, Any]:
    rare = number % 100 == 0
    names = {"id": f"evt_{number}", "event_id": f"y{number}", "erp": "erp", "order_id": f"ord_{number}"}
    texts = dict.fromkeys(("type", "digest", "code", "reason", "customer_id"), "x")
    became = {"outcome": "REFUSED" if rare else "X", "received_at": NOW - 2 * WEEK if rare else NOW}
    return {**names, **texts, **became, "occurred_at": NOW, "body": b"{}", "bytes": 2}


def variant(table: str, number: int) -> dict[str, Any]:
    rare = number % 100 == 0
    if table == "customers":
        names = {"external_id": f"y{number}", "email": f"x{number}@example.com", "email_key": f"x{number}@example.com"}
        return {"id": f"cus_{number:026}"} | names
    if table == "orders":
        status = "NEW" if rare else "DELIVERED"
        names = {"external_id": f"y{number}", "erp_document": f"y{number}"}
        return {"id": f"ord_{number:026}", "status": status, "customer_id": f"cus_{number % 500:026}"} | names
    state = {"available_at": NOW if rare else None, "dead_at": NOW if number % 100 == 1 else None}
    return {"order_id": f"ord_{number:026}", "leased_by": f"w{number % 50}"} | state


async def add(database: Database, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 5000):
        part = rows[start : start + 5000]
        await database.write(partial(Transaction.execute, statement=insert(table), rows=part))
    await database.write(lambda tx: tx.execute(text(f"ANALYZE TABLE {table.name}")))


async def statements(database: Database, query: Query) -> list[tuple[str, Any]]:
    """Return the statements that *query* runs on tables, with their parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "FROM" in statement or "UPDATE" in statement:
            asked.append((statement, parameters))

    engine = database._reader.sync_engine  # noqa: SLF001 - the only place to see statements at
    event.listen(engine, "before_cursor_execute", note)
    await database.read(query)
    event.remove(engine, "before_cursor_execute", note)
    return asked


async def plan(database: Database, statement: str, parameters: Any) -> Any:
    async with database._reader.connect() as connection:  # noqa: SLF001
        explained = await connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters)
        return explained.mappings().all()


@pytest.mark.parametrize("index", QUERIES)
async def test_its_index_answers(filled: Database, index: str, request: pytest.FixtureRequest) -> None:
    scans = ("ALL", "index") if "full" in request.node.name else ("ALL",)
    first, *_ = await statements(filled, QUERIES[index])
    steps = await plan(filled, *first)
    assert index in {step["key"] for step in steps}, steps
    # Of an empty table, reading all of the index is as good as a part of it.
    assert all(step["type"] not in scans for step in steps), steps


@pytest.mark.parametrize("filled", ["full"], indirect=True)
async def test_events_are_listed_by_outcome_from_an_index_that_begins_with_it(filled: Database) -> None:
    refused = EventFilters(outcomes=["REFUSED"])
    (first, *_) = await statements(
        filled, lambda tx: erp_events.page(tx, refused, after_id="", newest_first=False, limit=50)
    )
    steps = await plan(filled, *first)
    assert {step["key"] for step in steps} <= {"ix_erp_events_outcome", "ix_erp_events_age"}, steps
    assert all(step["type"] not in ("ALL", "index") for step in steps), steps


@pytest.mark.parametrize("filled", ["full"], indirect=True)
@pytest.mark.parametrize("rule", forgetting.RULES, ids=lambda rule: rule.name)
async def test_what_is_old_is_deleted_by_its_keys(filled: Database, rule: forgetting.Rule) -> None:
    await store(filled, [aged(rule.name, f"old {n}", NOW - timedelta(days=200)) for n in range(5)])
    before = NOW - timedelta(days=199)
    asked = await statements(filled, lambda tx: old_rows.delete_old(tx, rule.kind, before, 500))
    assert len(asked) == 2 + 2 * len(rule.kind.parts)
    for each in asked:
        steps = await plan(filled, *each)
        assert all(step["type"] not in ("ALL", "index") for step in steps), (each, steps)
