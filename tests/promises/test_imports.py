"""Promise 18: imports repeat safely, wherever they were cut, whoever sends them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
from behind import connected
from conftest import Party, new_party
from integration.uploads import customers_csv, cut, post, rows_of
from sqlalchemy import select, text

from tandem.integration.v1.import_pb2 import IMPORT_FORMAT_CSV
from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from tandem_server.storage.tables import customers

pytestmark = pytest.mark.usefixtures("deadline")

ROWS = 2_600
AGAIN = "runs again: CONFLICT"
WAITED_FOR = text(
    "SELECT COUNT(*) FROM performance_schema.data_lock_waits WHERE blocking_thread_id = PS_CURRENT_THREAD_ID()"
)


def stored(party: Party) -> list[tuple[Any, ...]]:
    """Return what the party's customers are, but for what every import makes anew."""
    told = (
        customers.c.external_id,
        customers.c.name,
        customers.c.email,
        customers.c.billing_address,
        customers.c.version,
    )
    with connected(party.stack.environment["TANDEM_DATABASE_URL"]) as database:
        rows = database.execute(select(*told).where(customers.c.source == party.source))
        return sorted((*row[:3], repr(row[3]), row[4]) for row in rows)


def session(party: Party) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(party.stack.http, headers={"authorization": f"Bearer {party.crm_key}"})


async def until_some_are_stored(party: Party) -> None:
    while not await asyncio.to_thread(stored, party):
        pass


async def imported_once(party: Party, file: bytes) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """Import *file* without any trouble for another party; return its customers and what became of the rows."""
    clean = new_party(party.stack)
    async with session(clean) as http:
        status, done = await post(http, file, "import_id=x")
        assert (status, done["rows"]) == (200, ROWS)
        return stored(clean), await rows_of(http, "x")


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
async def test_cut_ten_times_at_a_random_byte_and_then_whole_is_one_clean_import(party: Party, chunked: bool) -> None:
    file = customers_csv(ROWS)
    chance = random.Random(ROWS)
    async with session(party) as http:
        for _ in range(10):
            await cut(party, file, chance.randrange(len(file)), "import_id=x", chunked=chunked)
            whole = {n - n // 7 for n in range(0, ROWS, 500)}  # rows of whole chunks, without those that are wrong
            assert len(stored(party)) in whole
        status, done = await post(http, file, "import_id=x")
        assert (status, done["state"], done["rows"], done["not_reached"]) == (200, "PARTIAL", ROWS, 0)
        rows = await rows_of(http, "x")
    assert (stored(party), rows) == await imported_once(party, file)
    assert Counter(row["outcome"] for row in rows) == {"CREATED": ROWS - ROWS // 7, "FAILED": ROWS // 7}


async def test_a_call_that_is_broken_off_is_not_taken_for_one_that_ended(party: Party) -> None:
    """What came is not quite a chunk: it is stored only if the caller says that it is all."""
    async with grpc.aio.insecure_channel(party.stack.grpc) as channel:
        stub = IntegrationServiceStub(channel)
        for number in range(40):
            call = stub.ImportCustomers(metadata=[("authorization", f"Bearer {party.crm_key}")])
            await call.write(ImportCustomersRequest(import_id=f"b{number}", format=IMPORT_FORMAT_CSV))
            await call.write(ImportCustomersRequest(data=customers_csv(500)[: -number - 1]))
            await asyncio.sleep(random.random() * 0.02)
            call.cancel()
        await asyncio.sleep(0.5)
    assert stored(party) == []


async def test_of_two_senders_the_last_to_begin_wins_and_no_row_counts_twice(party: Party) -> None:
    file = customers_csv(ROWS)
    half = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield file[: len(file) // 2]
        await half.wait()
        yield file[len(file) // 2 :]

    async with session(party) as first, session(party) as second:
        slow = asyncio.create_task(post(first, slowly(), "import_id=x"))
        await until_some_are_stored(party)
        status, done = await post(second, file, "import_id=x")
        half.set()
        late, problem = await slow
        assert (status, done["state"], late, problem["reason"]) == (200, "PARTIAL", 409, "IMPORT_TAKEN_OVER")
        assert (stored(party), await rows_of(second, "x")) == await imported_once(party, file)


async def test_two_who_begin_at_once_are_one_import(party: Party) -> None:
    file = customers_csv(ROWS)
    async with session(party) as first, session(party) as second:
        replies = await asyncio.gather(post(first, file, "import_id=x"), post(second, file, "import_id=x"))
        assert {status for status, _ in replies} <= {200, 409}
        (done,) = {repr(reply): reply for status, reply in replies if status == 200}.values()
        assert {reply["reason"] for status, reply in replies if status == 409} <= {"IMPORT_TAKEN_OVER"}
        assert done["rows"] == ROWS
        assert (stored(party), await rows_of(first, "x")) == await imported_once(party, file)


async def test_a_row_inserted_at_the_top_is_refused_and_nothing_is_skipped(party: Party) -> None:
    file = customers_csv(ROWS)
    header, _, rest = file.partition(b"\r\n")
    more = header + b"\r\nNEW,New,,\r\n" + rest
    async with session(party) as http:
        await cut(party, file, len(file) // 2, "import_id=x")
        await until_some_are_stored(party)
        status, problem = await post(http, more, "import_id=x")
        assert (status, problem["reason"], problem["metadata"]["import_id"]) == (409, "IMPORT_CONTENT_CHANGED", "x")
        assert "NEW" not in {external_id for external_id, *_ in stored(party)}
        await post(http, file, "import_id=x")
        assert (stored(party), await rows_of(http, "x")) == await imported_once(party, file)
        status, done = await post(http, more, "import_id=y")
        assert (status, done["created"], done["unchanged"]) == (200, 1, ROWS - ROWS // 7)


@pytest.mark.parametrize("database", ["mysql"], indirect=True, scope="session")
async def test_deadlocks_never_reach_the_sender(party: Party) -> None:
    """Somebody holds the last customer of each chunk and wants the first, while the import takes them in order."""
    log = party.stack.home / "server.log"
    async with session(party) as http:
        await post(http, customers_csv(1_500), "import_id=x")
        before, held = log.read_text().count(AGAIN), threading.Barrier(4)
        keys = ("C99", "C1"), ("C999", "C1000"), ("C1500", "C1002")
        begun = asyncio.gather(*(asyncio.to_thread(fight, party, held, *ends) for ends in keys))
        await asyncio.to_thread(held.wait, 20)
        status, done = await post(http, customers_csv(1_500, name="Again"), "import_id=y")
        await begun
    assert (status, done["updated"]) == (200, 1_500 - 1_500 // 7)
    assert log.read_text().count(AGAIN) >= before + 3


def fight(party: Party, held: threading.Barrier, last: str, first: str) -> None:
    """Deadlock with whoever holds the customer *first* and waits for *last*, and be the one that lives.

    MySQL rolls back whoever wrote less.
    """
    mine = select(customers.c.id).where(customers.c.source == party.source).with_for_update()
    url = party.stack.environment["TANDEM_DATABASE_URL"]
    with connected(url) as database:
        database.execute(text("CREATE TABLE IF NOT EXISTS weights (weight INT)"))
    with connected(url) as database:
        database.execute(text("INSERT INTO weights VALUES (:weight)"), [{"weight": n} for n in range(2_000)])
        database.execute(mine.where(customers.c.external_id == last))
        held.wait(20)
        while not database.scalar(WAITED_FOR):
            time.sleep(0.02)
        database.execute(mine.where(customers.c.external_id == first))
