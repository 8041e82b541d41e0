"""Promise 19 for exports: what exists throughout is there once, nothing is missed, and no cut file looks whole."""

from __future__ import annotations

import asyncio
import csv
import io
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from benchmarks.templates import Template
from conftest import new_party
from erp.conftest import open_one
from erp.desk import Desk
from known_keys import REPORTS
from retail import hand_over
from sqlalchemy import create_engine, update
from sqlalchemy.engine import make_url
from stack import Stack

from tandem_server.domain.principals import Principal
from tandem_server.storage.customers import CustomerFilters
from tandem_server.storage.database import Database, Transaction
from tandem_server.storage.orders import OrderFilters
from tandem_server.storage.tables import orders
from tandem_server.usecases import exports
from tandem_server.usecases.exports import File, Format, Subject

pytestmark = pytest.mark.usefixtures("deadline")

numbers = count(1)
MANY = 30_000


@pytest.fixture
async def desk(database: str, make_database: Callable[[str], str]) -> Any:
    opened = await open_one(make_database(database))
    yield await Desk.opened(opened, f"erp{next(numbers)}")
    await opened.close()


def ids(data: bytes, column: str = "id") -> list[str]:
    return [row[column] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]


async def exported(database: Database, subject: Subject) -> bytes:
    return b"".join([chunk async for chunk in File(database, subject, Format.CSV).chunks()])


async def test_promise_19_what_exists_throughout_is_there_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in ("FIRST_ROWS", "MOST_ROWS"):
        monkeypatch.setattr(exports, rows, 9)
    before = await desk.place(100)
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    for filters in (OrderFilters(), OrderFilters(updated_after=long_ago), OrderFilters(created_after=long_ago)):
        for subject, column in ((exports.orders(filters), "id"), (exports.order_lines(filters), "order_id")):
            parts = []
            async for chunk in File(desk.database, subject, Format.CSV).chunks():
                parts.append(chunk)
                await desk.place(2)
            seen = ids(b"".join(parts), column)
            assert (len(parts) > 10, len(set(seen))) == (True, len(seen))
            assert [each for each in seen if each in before] == before


async def test_promise_19_what_was_not_committed_yet_is_in_the_next_export(desk: Desk) -> None:
    """A change that is made before an export begins to read, and committed when it has read all, is not missed."""
    (order_id, other) = await desk.place(2)
    principal = Principal("reports", None, None, frozenset())
    all_orders = exports.orders(OrderFilters())
    export = await exports.start(desk.database, principal, all_orders, Format.CSV)
    changed, read = asyncio.Event(), asyncio.Event()

    async def change(tx: Transaction) -> datetime:
        now = await tx.now()
        await tx.execute(update(orders).where(orders.c.id == order_id).values(note="late", updated_at=now))
        changed.set()
        await read.wait()
        return now

    changing = asyncio.create_task(desk.database.write(change))
    await changed.wait()
    first = await exported(desk.database, all_orders)
    read.set()
    at = await changing
    assert (b"late" in first, ids(first)) == (False, [order_id, other])
    assert export["watermark"] < at
    increment = exports.orders(OrderFilters(updated_after=export["watermark"]))
    assert b"late" in await exported(desk.database, increment)
    lines = exports.order_lines(OrderFilters(updated_after=export["watermark"]))
    assert order_id in ids(await exported(desk.database, lines), "order_id")
    assert await exported(desk.database, exports.customers(CustomerFilters(updated_after=export["watermark"])))


@pytest.fixture(scope="module")
def large(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack of our own, to break, with more orders than anybody on the way keeps."""
    stack = make_stack(make_database(database))
    url = make_url(stack.environment["TANDEM_DATABASE_URL"])
    plain = url.set(drivername="sqlite" if url.get_backend_name() == "sqlite" else "mysql+pymysql")
    engine = create_engine(plain, enable_from_linting=False)
    Template(engine, asyncio.run(one_order(stack))).add(MANY, 1)
    engine.dispose()
    return stack


async def one_order(stack: Stack) -> str:
    async with new_party(stack).crm() as crm:
        return (await hand_over(crm, 1))[0].id


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_promise_19_a_server_that_is_killed_makes_curl_fail(large: Stack, version: str, tmp_path: Path) -> None:
    path, url = tmp_path / "orders.csv", f"{large.http}/v1/exports/orders"
    authorization = f"authorization: Bearer {REPORTS.key}"
    command = ["curl", "-sf", version, "--limit-rate", "1M", "-H", authorization, "-o", str(path), url]
    with subprocess.Popen(command) as downloading:
        while not (path.exists() and path.stat().st_size):
            time.sleep(0.02)
        large.server.stop(signal.SIGKILL)
        assert downloading.wait(60) in (18, 56)  # a part of the file only; a failure in receiving
    assert 0 < len(ids(path.read_bytes().rpartition(b"\r\n")[0])) < MANY
    large.server.start()
    large.wait_until_ready()
