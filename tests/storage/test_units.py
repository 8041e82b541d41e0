"""What becomes of a unit of work whose caller has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import text

from tandem_server.storage.database import Database, Transaction

pytestmark = pytest.mark.usefixtures("deadline")

ONE = text("SELECT 1 AS one")


@pytest.fixture
async def narrow(database: str, make_database: Callable[[str], str]) -> AsyncIterator[Database]:
    opened = Database(make_database(database), pool_size=1)
    yield opened
    await opened.close()


async def statements_begun(narrow: Database, run: Callable[[Any], Any]) -> int:
    """Return how many statements begin of a unit of two whose caller leaves between them."""
    begun = 0
    first, go_on = asyncio.Event(), asyncio.Event()

    async def unit(tx: Transaction) -> None:
        nonlocal begun
        for _ in range(2):
            await tx.rows(ONE)
            begun += 1
            first.set()
            await go_on.wait()

    calling = asyncio.create_task(run(unit))
    async with asyncio.timeout(20):
        await first.wait()
    calling.cancel()
    await asyncio.wait([calling])
    assert calling.cancelled()
    go_on.set()
    assert [row.one for row in await narrow.read(lambda tx: tx.rows(ONE))] == [1]  # on the same connection
    await narrow.close()
    return begun


async def test_a_read_whose_caller_left_begins_no_further_statement(
    narrow: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert await statements_begun(narrow, narrow.read) == 1
    assert not caplog.records


async def test_a_write_whose_caller_left_goes_on_to_its_end(narrow: Database) -> None:
    assert await statements_begun(narrow, narrow.write) == 2
