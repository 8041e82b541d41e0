"""Who erases a customer and who writes at the same moment: whichever commits first, no erased person comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Select, select

from tandem_proto.errors import FailedPrecondition, TandemError
from tandem_server.domain.erasure import OFF, Marks
from tandem_server.domain.routing import Routes
from tandem_server.settings import Settings
from tandem_server.storage import customers as stored_customers
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.tables import customers as stored
from tandem_server.storage.tables import orders
from tandem_server.usecases import customers, erasures
from tandem_server.usecases.orders import NewOrder
from tandem_server.usecases.orders import create as create_orders

from .conftest import numbers, open_one
from .desk import CUSTOMER, ORDER, Desk

pytestmark = pytest.mark.usefixtures("deadline")

ADA = {**CUSTOMER, "external_id": "ada", "email": "Ada@example.com"}
Write = Callable[[Desk], Callable[[Transaction], Awaitable[Any]]]
WRITES: dict[str, Write] = {
    "create": lambda desk: lambda tx: customers.create(tx, desk.caller, ADA),
    "upsert": lambda desk: lambda tx: customers.upsert(tx, desk.caller, ADA | {"name": "B"}),
    "order": lambda desk: lambda tx: create_orders(tx, Routes({desk.caller.source: desk.erp}), [an_order(desk)]),
}


def an_order(desk: Desk) -> NewOrder:
    return NewOrder({**ORDER, "external_id": "o", "customer_external_id": "ada"}, 100, desk.caller)


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    """A desk whose database knows erased keys."""
    await (await open_one(database_url)).close()
    database = Database(database_url, marks=Marks(["s" * 32]))
    yield await Desk.opened(database, f"erased{next(numbers)}")
    await database.close()


async def an_ada(desk: Desk) -> str:
    made = await desk.database.write(lambda tx: customers.create(tx, desk.caller, ADA))
    return str(made.row.id)


async def erase(desk: Desk, customer_id: str) -> str:
    """Erase, and return the reason of a refusal."""
    try:
        await erasures.erase(desk.database, desk.caller, customer_id, cancel_open_orders=False)
    except FailedPrecondition as error:
        return error.reason
    return "ERASED"


class Held:
    """A unit of work that has done all of its work and does not commit until it is let."""

    def __init__(self, database: Database, body: Callable[[Transaction], Awaitable[Any]]) -> None:
        self.done, self._go = asyncio.Event(), asyncio.Event()
        self._body = body
        self._task = asyncio.create_task(database.write(self._unit))

    async def _unit(self, tx: Transaction) -> Any:
        result = await self._body(tx)
        self.done.set()
        await self._go.wait()
        return result

    async def commit(self) -> Any:
        self._go.set()
        return await self._task


async def outcome(work: Awaitable[Any]) -> str:
    """Return the reason for which *work* is refused, empty where it is not."""
    try:
        result = await work
    except TandemError as error:
        return error.reason
    first = result[0] if isinstance(result, list) else result
    return first.reason if isinstance(first, TandemError) else ""


async def people(desk: Desk) -> set[str]:
    query = select(stored.c.external_id).where(stored.c.source == desk.caller.source)
    return {row.external_id for row in await desk.database.read(lambda tx: tx.rows(query))}


@pytest.mark.parametrize("write", WRITES)
async def test_an_erasure_that_commits_first_refuses_the_write(desk: Desk, write: str) -> None:
    customer_id = await an_ada(desk)
    begin = Held(desk.database, lambda tx: erasures._begin(tx, desk.caller, customer_id, called_off=False))  # noqa: SLF001
    await begin.done.wait()
    writing = asyncio.create_task(outcome(desk.database.write(WRITES[write](desk))))
    await asyncio.sleep(0.2)
    assert not writing.done()
    await begin.commit()
    assert await writing == "ERASED"
    assert await people(desk) == {"c", f"erased:{customer_id}"}


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_commits_first_is_erased_or_in_the_way(desk: Desk, write: str) -> None:
    customer_id = await an_ada(desk)
    writing = Held(desk.database, WRITES[write](desk))
    await writing.done.wait()
    erasing = asyncio.create_task(erase(desk, customer_id))
    await asyncio.sleep(0.2)
    assert not erasing.done()
    assert await outcome(writing.commit()) == ""
    assert await erasing == ("ORDERS_OPEN" if write == "order" else "ERASED")
    assert await people(desk) == {"c", "ada" if write == "order" else f"erased:{customer_id}"}


@pytest.mark.parametrize("database", ["mysql"], indirect=True, scope="session")
async def test_a_life_that_begins_and_ends_while_a_write_is_under_way_is_not_missed(desk: Desk) -> None:
    async def late(tx: Transaction) -> None:
        assert await stored_customers.by_external_ids(tx, desk.caller.source, ["ada"]) == {}
        await erase(desk, await an_ada(desk))
        await customers.store(tx, desk.caller, [customers.change_of(None, ADA)])

    assert await outcome(desk.database.write(late)) == "ERASED"


async def test_many_orders_take_several_transactions_and_a_repetition_goes_on(desk: Desk) -> None:
    (customer_id,) = {(await desk.order(each)).customer_id for each in await desk.place(120)}
    desk_calls_off = {"caller": desk.caller, "customer_id": customer_id}
    while await desk.database.write(lambda tx: erasures._call_off_some(tx, **desk_calls_off)):  # noqa: SLF001
        pass
    await desk.database.write(lambda tx: erasures._begin(tx, **desk_calls_off, called_off=True))  # noqa: SLF001
    await desk.database.write(lambda tx: erasures._blank_some(tx, **desk_calls_off))  # noqa: SLF001
    query = select(orders.c.external_id).where(orders.c.customer_id == customer_id)
    assert len(await texts(desk, query)) == 120 - erasures.ORDERS_AT_ONCE
    assert await erase(desk, customer_id) == "ERASED"
    assert await texts(desk, query) == []


async def texts(desk: Desk, query: Select[Any]) -> list[str]:
    rows = await desk.database.read(lambda tx: tx.rows(query))
    assert len(rows) == 120
    return [row.external_id for row in rows if not row.external_id.startswith("erased:")]


async def test_a_secret_must_be_there_and_stay(desk: Desk, database_url: str) -> None:
    customer_id = await an_ada(desk)
    bare, newer = Database(database_url), Database(database_url, marks=Marks(["n" * 32, "s" * 32]))
    with pytest.raises(FailedPrecondition) as refusal:
        await erasures.erase(bare, desk.caller, customer_id, cancel_open_orders=True)
    assert refusal.value.reason == "NO_SECRET"
    assert await erase(desk, customer_id) == "ERASED"
    await erasures.check(newer)
    assert await outcome(newer.write(WRITES["create"](desk))) == "ERASED"
    for marks in (OFF, Marks(["n" * 32])):
        bare.marks = marks
        with pytest.raises(ValueError, match="TANDEM_SECRET"):
            await erasures.check(bare)
    with pytest.raises(ValueError, match="at least 32"):
        _ = Settings(secret=SecretStr("short")).marks
    for database in (bare, newer):
        await database.close()
