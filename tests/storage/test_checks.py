"""A server does not start on a database that cannot carry its promises, and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import text

from tandem_server.migrations import head, migrate
from tandem_server.storage import checks
from tandem_server.storage.checks import UnfitDatabaseError, check, the_row

databases = pytest.mark.parametrize(
    "database", ["sqlite", "mysql", "asyncmy", "mariadb"], indirect=True, scope="session"
)


@pytest.fixture(scope="module")
def url(database: str, make_database: Callable[[str], str]) -> str:
    made = make_database(database)
    migrate(made)
    return made


@databases
async def test_a_good_database_passes_also_when_servers_start_at_once(url: str) -> None:
    await asyncio.gather(*(check(url, head()) for _ in range(5)))


@databases
async def test_an_older_schema_says_what_to_do(url: str) -> None:
    with pytest.raises(UnfitDatabaseError, match="run `tandem-server migrate` first"):
        await check(url, "9999")


@pytest.mark.parametrize("database", ["mysql"], indirect=True, scope="session")
@pytest.mark.parametrize(
    ("asked", "why"),
    [(the_row(skip_locked=False), "slow"), (text("SELECT version_num FROM alembic_version"), "handed out twice")],
    ids=["waits", "ignores-the-lock"],
)
async def test_locked_rows_must_be_skipped(url: str, asked: object, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "the_row", lambda **_: asked)
    with pytest.raises(UnfitDatabaseError, match=f"does not skip locked rows.*MySQL 8.4.*{why}"):
        await check(url, head())
