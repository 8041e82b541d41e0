"""An ERP's desk on a real database, without servers around it: use cases are called as the servicer calls them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tandem_server.storage.database import Database
from tandem_server.storage.tables import metadata

from .desk import Desk

numbers = itertools.count(1)
have_tables: set[str] = set()
EVERYWHERE = pytest.mark.parametrize(
    "database", ["sqlite", "mysql", "asyncmy", "mariadb"], indirect=True, scope="session"
)
"""Marks what runs on every driver and database, rather than on the two that every other test runs on."""


async def open_one(url: str) -> Database:
    """Open the database at *url*, with the tables that it needs."""
    if url not in have_tables:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        await engine.dispose()
        have_tables.add(url)
    return Database(url, pool_size=5)


@pytest.fixture(scope="session")
def database_url(database: str, make_database: Callable[[str], str]) -> str:
    return make_database(database)


@pytest.fixture
async def open_database(database_url: str) -> AsyncIterator[Database]:
    """The shared database of a kind; tests keep apart by using an ERP of their own."""
    opened = await open_one(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def desk(open_database: Database) -> Desk:
    return await Desk.opened(open_database, f"erp{next(numbers)}")


@pytest.fixture
def desk_runner(database_url: str) -> Iterator[Callable[[Callable[[Desk], Coroutine[Any, Any, Any]]], Any]]:
    """Run what takes a desk from a test that is no coroutine, as Hypothesis wants it."""
    with asyncio.Runner() as runner:
        opened = runner.run(open_one(database_url))
        desk = runner.run(Desk.opened(opened, f"erp{next(numbers)}"))
        yield lambda body: runner.run(body(desk))
        runner.run(opened.close())
