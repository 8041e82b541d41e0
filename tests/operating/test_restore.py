"""The drill of server/README.md, by the commands that it prints: what was dumped comes back, and goes on."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, Party, change_database, new_party
from crm.erp import acknowledge, reject, tell_status
from retail import hand_over
from sqlalchemy.engine import URL, make_url
from stack import Stack

from tandem.crm.v1.order_event_pb2 import OrderEvent
from tandem.crm.v1.order_pb2 import Order

pytestmark = pytest.mark.usefixtures("deadline")

PAGE = (ROOT / "server/README.md").read_text()


def commands(about: str) -> str:
    """Return what the page tells an operator to type, where it speaks *about* something."""
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if about in block]
    return str(block)


def type_in(lines: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-euc", lines], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class Databases(NamedTuple):
    """The URLs of the database in use and of the empty one; *move* dumps the first and restores into the second."""

    old: str
    new: str
    move: Callable[[Path], None]


def move_sqlite(old: URL, new: URL, folder: Path) -> None:
    lines = commands("VACUUM INTO")
    type_in(
        lines.replace(".tandem/tandem.db", str(old.database)).replace("tandem-backup.db", str(new.database)), folder
    )


def move_mysql(old: URL, new: URL, folder: Path) -> None:
    """Type the page's lines, with the programs that the tests use and the logins that an operator's `.my.cnf` has."""
    login = [f"--host={old.host}", f"--port={old.port}", f"--user={old.username}", f"--password={old.password or ''}"]
    for about, url in (("mysqldump", old), ("gunzip", new)):
        told = re.sub(r"\b(mysqldump|mysql)\b", rf"{ROOT}/scripts/tool \1 {shlex.join(login)}", commands(about))
        type_in(told.replace(" tandem", f" {url.database}", 1), folder)


@pytest.fixture
def databases(database: str, make_database: Callable[[str], str]) -> Databases:
    old, new = make_database(database), make_database(database)
    if database == "sqlite":
        return Databases(old, new, lambda folder: move_sqlite(make_url(old), make_url(new), folder))
    return Databases(old, new, lambda folder: move_mysql(make_url(old), make_url(new), folder))


async def fill(party: Party) -> set[str]:
    """Leave orders in many states; return those that the ERP has neither acknowledged nor refused for good."""
    async with party.crm() as crm, party.worker() as worker:
        await hand_over(crm, 4, lines=3)
        done, refused, given_back, held = await worker.erp.lease("w", lease_seconds=600)
        await acknowledge(worker, done)
        await tell_status(worker, done.order, "SHIPPED")
        await reject(worker, refused, code="UNKNOWN_SKU", permanent=True)
        await reject(worker, given_back, release=True)
        (waiting,) = await hand_over(crm, 1)
    return {given_back.order.id, held.order.id, waiting.id}


async def read(party: Party) -> list[tuple[Order, list[OrderEvent]]]:
    async with party.crm() as crm:
        return [(order, [event async for event in crm.orders.events(order.id)]) async for order in crm.orders.list()]


async def test_every_order_reads_equal_and_what_waits_is_delivered(
    databases: Databases, make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    old = new_party(make_stack(databases.old))
    waiting = await fill(old)
    before = await read(old)
    await asyncio.to_thread(databases.move, tmp_path)
    new = replace(old, stack=make_stack(databases.new))
    assert await read(new) == before
    past = "available_at = '2020-01-01 00:00:00.000000', lease_expires_at = '2020-01-01 00:00:00.000000'"
    change_database(new.stack, f"UPDATE deliveries SET {past} WHERE lease_token IS NOT NULL")
    async with new.worker() as worker, worker.orders.pull("w", until_empty=True) as deliveries:
        delivered = {delivery.order.id async for delivery in deliveries}
    assert delivered == waiting
