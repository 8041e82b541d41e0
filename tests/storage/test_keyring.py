"""What a process knows of keys, and how often it asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from known_keys import ADMIN, UNKNOWN, add_keys

from tandem_proto.errors import PermissionDenied, Unauthenticated
from tandem_server.domain.keys import id_in
from tandem_server.domain.principals import SCOPES, Principal
from tandem_server.migrations import migrate
from tandem_server.storage.database import Database
from tandem_server.storage.keys import find
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.keys import NewKey, create, revoke

REPORTS = NewKey("books", ["reports"])
CREATOR = Principal("creator", source=None, erp=None, scopes=SCOPES["admin"])


class Counted(Database):
    """A database that counts what is read."""

    reads = 0

    async def read(self, unit: Any) -> Any:
        self.reads += 1
        return await super().read(unit)


@pytest.fixture(scope="module")
def database_url(database: str, make_database: Callable[[str], str]) -> str:
    url = make_database(database)
    migrate(url)
    add_keys(url)
    return url


@pytest.fixture
async def counted(database_url: str) -> AsyncIterator[Counted]:
    opened = Counted(database_url)
    yield opened
    await opened.close()


@example(place=0, other="T")
@given(place=st.integers(0, len(ADMIN.key) - 1), other=st.characters(codec="ascii"))
def test_a_mistyped_key_is_known_as_such(place: int, other: str) -> None:
    mistyped = ADMIN.key[:place] + other + ADMIN.key[place + 1 :]
    assert id_in(mistyped) == (ADMIN.id if mistyped == ADMIN.key else None)
    assert id_in(ADMIN.key[:place]) is None


async def test_garbage_is_refused_without_a_look(counted: Counted) -> None:
    keys = KeyRing(counted, seconds=10)
    for garbage in ("", "x", "Bearer", ADMIN.key[:-1], ADMIN.key + "0", "tdm_" * 5_000, "tdm_dev_\x00_é"):
        with pytest.raises(Unauthenticated):
            await keys.principal(garbage)
    assert counted.reads == 0


async def test_those_who_wait_for_a_key_share_one_look(counted: Counted) -> None:
    keys = KeyRing(counted, seconds=0.5)
    for expected in (1, 2):
        known = await asyncio.gather(*(keys.principal(ADMIN.key) for _ in range(100)))
        assert ({each.name for each in known}, counted.reads) == ({"admin"}, expected)
        await asyncio.sleep(0.6)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await keys.principal(UNKNOWN.key)
    assert counted.reads == 4  # what nobody made is not remembered
    await keys.close()


async def test_a_caller_that_leaves_spoils_nobodys_look(counted: Counted) -> None:
    keys = KeyRing(counted, seconds=10)
    leaving = asyncio.create_task(keys.principal(ADMIN.key))
    staying = asyncio.create_task(keys.principal(ADMIN.key))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).key_id == ADMIN.id
    await keys.close()


async def test_what_was_revoked_elsewhere_is_known_in_time(counted: Counted) -> None:
    here, there = KeyRing(counted, seconds=1), KeyRing(counted, seconds=1)
    made = await counted.write(lambda tx: create(tx, CREATOR, REPORTS, "test"))
    for keys in (here, there):
        assert (await keys.principal(made.text)).name == "books"
    await counted.write(lambda tx: revoke(tx, CREATOR, made.row.id))
    here.forget(made.row.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        await here.principal(made.text)
    await there.principal(made.text)
    await asyncio.sleep(1)
    with pytest.raises(Unauthenticated, match="revoked"):
        await there.principal(made.text)


async def test_nobody_makes_a_key_that_may_do_more(counted: Counted) -> None:
    weak = Principal("weak", source=None, erp=None, scopes=frozenset({"keys:write", "orders:read"}))
    with pytest.raises(PermissionDenied) as refusal:
        await counted.write(lambda tx: create(tx, weak, REPORTS, "test"))
    assert refusal.value.metadata == {"required_scope": "customers:read"}


async def test_use_is_noted_once_a_minute(counted: Counted) -> None:
    keys, noted = KeyRing(counted, seconds=10), []
    made = await counted.write(lambda tx: create(tx, CREATOR, REPORTS, "test"))
    for _ in range(2):
        await keys.principal(made.text)
        await keys.note_use()
        noted.append((await counted.read(lambda tx: find(tx, made.row.id))).last_used_at)
    assert noted[0] == noted[1] is not None
    await keys.close()
