"""What the databases of the tests are, and that the migrations make what the queries expect."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from conftest import ask_mysql
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from storage.aged import a_row

from tandem_server.migrations import head, migrate
from tandem_server.storage.checks import check
from tandem_server.storage.tables import metadata, old_revisions, order_lines, orders


def test_the_mysql_run_is_on_mysql() -> None:
    ((version, comment),) = ask_mysql("SELECT VERSION(), @@version_comment")
    major, minor = re.findall(r"\d+", str(version))[:2]
    assert (int(major), int(minor)) >= (8, 4)
    assert "mariadb" not in f"{version} {comment}".lower()


async def test_migrations_make_the_tables(database: str, make_database: Callable[[str], str]) -> None:
    url = make_database(database)
    await asyncio.to_thread(migrate, url)
    await asyncio.to_thread(migrate, url)
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_an_older_tandem_runs_on_a_newer_schema(database: str, make_database: Callable[[str], str]) -> None:
    """After a rollback the schema is ahead: migrating leaves it alone, and a server starts on it."""
    url = make_database(database)
    await asyncio.to_thread(migrate, url)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await asyncio.to_thread(migrate, url)
    await check(url, head())
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() == "9999"
    await engine.dispose()


async def test_old_revisions_of_before_are_found(database: str, make_database: Callable[[str], str]) -> None:
    url = make_database(database)
    await asyncio.to_thread(migrate, url)
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for order, now in (("once", 1), ("thrice", 3)):
            await connection.execute(insert(orders).values(a_row("orders", id=order, external_id=order, revision=now)))
            lines = [
                a_row("order_lines", order_id=order, revision=n + 1, line_number=m) for n in range(now) for m in (1, 2)
            ]
            await connection.execute(insert(order_lines), lines)
        await connection.run_sync(find_old_revisions)
        found = await connection.execute(select(old_revisions.c.order_id, old_revisions.c.revision))
        assert sorted(found.all()) == [("thrice", 1), ("thrice", 2)]
    await engine.dispose()


def find_old_revisions(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        import_module("tandem_server.migrations.versions.0007_ages")._find_old_revisions()  # noqa: SLF001 - a part of upgrade


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": False}), metadata))
