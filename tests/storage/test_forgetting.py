"""What is old is deleted by any number of servers at once, a few rows at a time, and nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from erp.conftest import EVERYWHERE, open_one
from sqlalchemy import Table, event, func, select, update

from tandem_server.storage.database import Database
from tandem_server.storage.tables import deliveries, imports, metadata, old_revisions
from tandem_server.usecases import forgetting
from tandem_server.usecases.forgetting import forget

from .aged import NOW, PARTS, RULES, a_row, aged, store

pytestmark = EVERYWHERE

AN_HOUR = timedelta(hours=1)
EACH = 600
TABLES = [metadata.tables[name] for rule in RULES for name in aged(rule, "", NOW)]


@pytest.fixture(scope="module")
def url(database: str, make_database: Callable[[str], str]) -> str:
    return make_database(database)


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Database]:
    made = await open_one(url)
    yield made
    for table in {*TABLES, deliveries}:
        await made.write(lambda tx, table=table: tx.execute(table.delete()))  # type: ignore[misc]
    await made.close()


async def a_round(database: Database) -> None:
    for rule in forgetting.RULES:
        await forget(database, rule, asyncio.Event())


async def counts(database: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    return {table.name: await count(database, table) for table in TABLES}


async def count(database: Database, table: Table) -> int:
    query = select(func.count().label("number")).select_from(table)
    return int((await database.read(lambda tx: tx.rows(query)))[0].number)


async def test_what_is_older_than_its_age_goes_and_what_is_younger_stays(opened: Database) -> None:
    assert [rule.name for rule in forgetting.RULES] == [*RULES]
    for rule, age in RULES.items():
        await store(opened, [aged(rule, "young", NOW - age + AN_HOUR)])
    before = await counts(opened)
    for rule, age in RULES.items():
        await store(opened, [aged(rule, "old", NOW - age - AN_HOUR)])
    await a_round(opened)
    assert await counts(opened) == before | {"imports": 2}
    kept = await opened.read(lambda tx: tx.rows(select(imports)))
    assert {row.id: row.rows_deleted_at is not None for row in kept} == {"old": True, "young": False}


async def test_servers_share_the_work_in_one_round_and_small_steps(opened: Database, url: str) -> None:
    """On SQLite there is one server only."""
    for rule, age in RULES.items():
        await store(opened, [aged(rule, f"n{n}", NOW - age - AN_HOUR) for n in range(EACH)])
    servers = [opened] if opened.dialect == "sqlite" else [opened, Database(url)]
    steps: list[int] = []
    event.listen(
        opened._writer.sync_engine,  # noqa: SLF001 - the only place to see statements at
        "after_cursor_execute",
        lambda _connection, cursor, statement, *_rest: steps.append(cursor.rowcount * statement.startswith("DELETE")),
    )
    await asyncio.gather(*(a_round(server) for server in servers))
    assert {name: left for name, left in (await counts(opened)).items() if left} == {"imports": EACH}
    assert 0 < max(steps) <= forgetting.MOST
    if len(servers) == 2:
        assert 0 < sum(steps) < EACH * len(RULES) + 3 * EACH * PARTS
        await servers[1].close()


async def test_the_next_step_is_smaller_after_one_that_took_long(
    opened: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forgetting, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(forgetting, "MOST_BATCHES", 4)
    caplog.set_level("INFO", "tandem_server.usecases.forgetting")
    await store(opened, [aged("exports", f"n{n}", NOW - timedelta(days=99)) for n in range(EACH)])
    await a_round(opened)
    (told,) = caplog.records
    assert vars(told)["batches"] == 4
    assert vars(told)["rows"] == 100 + 50 + 25 + 20 == EACH - (await counts(opened))["exports"]


async def test_a_round_ends_when_the_server_does(opened: Database) -> None:
    closing = asyncio.Event()
    closing.set()
    await store(opened, [aged("exports", f"n{n}", NOW - timedelta(days=99)) for n in range(EACH)])
    await forget(opened, forgetting.RULES[-1], closing)
    assert (await counts(opened))["exports"] == EACH - forgetting.FIRST


async def test_a_revision_that_a_worker_holds_stays_until_its_lease_ends(opened: Database) -> None:
    await store(opened, [aged("order_revisions", name, NOW - timedelta(days=2)) for name in ("held", "free")])
    lease = {"order_id": "held", "leased_revision": 1, "lease_expires_at": NOW + timedelta(hours=1)}
    await store(opened, [{"deliveries": [a_row("deliveries", **lease)]}])
    await a_round(opened)
    assert await left(opened) == ["held"]
    expired = update(deliveries).values(lease_expires_at=NOW - AN_HOUR)
    await opened.write(lambda tx: tx.execute(expired))
    await a_round(opened)
    assert await left(opened) == []


async def left(database: Database) -> list[Any]:
    return [row.order_id for row in await database.read(lambda tx: tx.rows(select(old_revisions.c.order_id)))]


async def test_an_order_that_is_busy_holds_nobody_up(opened: Database) -> None:
    """Its delivery row, the order's lock, is locked by somebody else meanwhile."""
    if opened.dialect == "sqlite":
        return  # one writer at a time is how SQLite works
    await store(opened, [aged("order_revisions", "busy", NOW - timedelta(days=2))])
    lease = {"order_id": "busy", "leased_revision": 2, "lease_expires_at": NOW + timedelta(hours=1)}
    await store(opened, [{"deliveries": [a_row("deliveries", **lease)]}])

    async def unit(tx: Any) -> None:
        await tx.rows(select(deliveries.c.order_id).with_for_update())
        async with asyncio.timeout(1.5):
            await a_round(opened)

    await opened.write(unit)
    assert await left(opened) == []
