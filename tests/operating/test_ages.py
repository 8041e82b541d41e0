"""What is deleted because of its age is missed by nobody: who asks for it later is told, and all else is as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from conftest import Party
from crm.erp import acknowledge, lease_one
from integration.uploads import counts, customers_csv, cut, get, post
from retail import hand_over
from sqlalchemy import select, update
from stack import Stack

from tandem.crm.v1.order_line_pb2 import OrderLine
from tandem.crm.v1.order_pb2 import Order
from tandem_server.storage.database import Database
from tandem_server.storage.tables import imports, old_revisions, order_lines
from tandem_server.usecases.forgetting import RULES, forget

pytestmark = pytest.mark.usefixtures("deadline")

A_DAY = timedelta(days=1)


@pytest.fixture
async def stored(stack: Stack) -> AsyncIterator[Database]:
    opened = Database(stack.environment["TANDEM_DATABASE_URL"], pool_size=1)
    yield opened
    await opened.close()


async def a_round(stored: Database) -> None:
    for rule in RULES:
        await forget(stored, rule, asyncio.Event())


async def revisions(stored: Database, order: Order) -> list[int]:
    """Return the revisions of *order* whose lines are there."""
    query = select(order_lines.c.revision).where(order_lines.c.order_id == order.id).distinct()
    return sorted(row.revision for row in await stored.read(lambda tx: tx.rows(query)))


async def test_an_order_that_changed_keeps_the_lines_that_it_has(party: Party, stored: Database) -> None:
    line = OrderLine(sku="71053", quantity="3", unit_price="3.39")
    async with party.crm() as crm, party.worker() as worker:
        (order,) = await hand_over(crm, 1, lines=40)
        assert await acknowledge(worker, await lease_one(worker)) == "ACKNOWLEDGED"
        await crm.orders.amend(order.id, Order(lines=[line]))
        await age(stored, update(old_revisions).where(old_revisions.c.order_id == order.id), 2 * A_DAY)
        changed = await crm.orders.amend(order.id, Order(lines=[line, line]))
        assert await revisions(stored, order) == [1, 2, 3]
        await a_round(stored)
        assert await revisions(stored, order) == [2, 3]
        await age(stored, update(old_revisions).where(old_revisions.c.order_id == order.id), 2 * A_DAY)
        await a_round(stored)
        assert await revisions(stored, order) == [3]
        assert await crm.orders.get(order.id) == changed
        delivery = await lease_one(worker)
        assert (delivery.revision, delivery.order.lines) == (3, changed.lines)
        assert await acknowledge(worker, delivery) == "ACKNOWLEDGED"


async def age(stored: Database, statement: Any, passed: timedelta) -> None:
    """Move the instant by which the rows of *statement* are old."""

    async def unit(tx: Any) -> None:
        column = {"old_revisions": "superseded_at", "imports": "updated_at"}[statement.table.name]
        await tx.execute(statement.values({column: await tx.now() - passed}))

    await stored.write(unit)


async def test_the_rows_of_an_import_are_known_for_ninety_days(
    http: aiohttp.ClientSession, party: Party, stored: Database
) -> None:
    await post(http, customers_csv(20), "import_id=old")
    await cut(party, customers_csv(1200), 40_000, "import_id=unfinished")
    async with asyncio.timeout(10):
        while not (unfinished := await get(http, "/v1/imports/unfinished"))["not_reached"]:  # noqa: ASYNC110 - a server rings no bell
            await asyncio.sleep(0.05)
    mine = update(imports).where(imports.c.source == party.source)
    for passed, status in ((89 * A_DAY, 200), (90 * A_DAY, 404), (92 * A_DAY, 404)):
        await age(stored, mine, passed)
        await a_round(stored)
        for path in ("rows", "failed.csv"):
            async with http.get(f"/v1/imports/old/{path}") as reply:
                assert reply.status == status
                assert status == 200 or (await reply.json())["reason"] == "IMPORT_ROWS_DELETED"
    assert counts(await get(http, "/v1/imports/old")) == {"created": 18, "failed": 2}
    status, told = await post(http, customers_csv(20), "import_id=old")
    assert (status, counts(told)) == (200, {"created": 18, "failed": 2})
    status, refused = await post(http, customers_csv(1200), "import_id=unfinished")
    assert (status, refused["reason"]) == (409, "IMPORT_TOO_OLD")
    assert counts(await get(http, "/v1/imports/unfinished")) == counts(unfinished)
