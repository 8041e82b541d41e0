"""Imports from Python: resumed by themselves, watched, and refused before anything is sent."""

from __future__ import annotations

import asyncio
import gzip
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Party, new_party
from integration.uploads import customers_csv
from soaking.proxy import Proxy
from stack import Stack

from tandem.crm.v1.customer_pb2 import Customer
from tandem.integration.v1.import_pb2 import IMPORT_STATE_PARTIAL, IMPORT_STATE_SUCCEEDED
from tandem_client import InvalidArgument, NotFound, Tandem

pytestmark = pytest.mark.usefixtures("deadline")

ROWS = 12_000


async def until_rows(crm: Tandem, import_id: str, rows: int) -> None:
    """Wait until an import got so far."""
    while True:
        try:
            if (await crm.imports.get(import_id)).rows >= rows:
                return
        except NotFound:
            await asyncio.sleep(0.02)


async def test_a_killed_server_costs_time_and_no_row(
    make_database: Callable[[str], str], make_stack: Callable[..., Stack], database: str, tmp_path: Path
) -> None:
    own = make_stack(make_database(database))
    path = tmp_path / "customers.csv"
    path.write_bytes(customers_csv(ROWS))
    seen: list[tuple[int, int | None]] = []
    async with new_party(own).crm() as crm:
        sending = asyncio.create_task(
            crm.customers.import_(path, import_id="x", progress=lambda sent, total: seen.append((sent, total)))
        )
        for rows in (1_000, 4_000):
            await until_rows(crm, "x", rows)
            own.server.stop(signal.SIGKILL)
            own.server.start()
            await asyncio.to_thread(own.wait_until_ready)
        done = await sending
        assert (done.state, done.rows, done.not_reached) == (IMPORT_STATE_PARTIAL, ROWS, 0)
        assert (done.created, done.failed) == (ROWS - ROWS // 7, ROWS // 7)
        assert seen[-1] == (path.stat().st_size, path.stat().st_size)
        assert seen.count((0, path.stat().st_size)) == 3  # it began three times
        created = [customer async for customer in crm.customers.list(page_size=1000)]
        assert len({customer.external_id for customer in created}) == len(created) == done.created


async def test_files_are_known_by_their_names(party: Party, tmp_path: Path) -> None:
    packed, lines = tmp_path / "a.csv.gz", tmp_path / "b.jsonl"
    packed.write_bytes(gzip.compress(b"Nr;Name;Fax\n1;Ada;\n2;Bob;5\n"))
    lines.write_text('{"external_id":"3","name":"Cid"}\n')
    async with party.crm() as crm:
        columns = {"Nr": "external_id", "Name": "name", "Fax": ""}
        done = await crm.customers.import_(packed, columns=columns)
        assert (done.state, done.created) == (IMPORT_STATE_SUCCEEDED, 2)
        tried = await crm.customers.import_(str(lines), dry_run=True)
        assert (tried.dry_run, tried.created) == (True, 1)
        with pytest.raises(InvalidArgument) as refused:
            await crm.customers.import_(packed)
        assert {wrong.field for wrong in refused.value.fields} == {"Nr", "Name", "Fax", "external_id", "name"}
        with pytest.raises(ValueError, match="must end in"):
            await crm.customers.import_(tmp_path / "c.xlsx")


async def test_rows_are_sent_in_parts_that_fit(party: Party) -> None:
    long = {f"k{n}": "é" * 500 for n in range(50)}
    rows = [Customer(external_id=f"{n}", name="Long", attributes=long) for n in range(120)]
    seen: list[tuple[int, int | None]] = []
    async with party.crm() as crm:
        done = await crm.customers.import_(rows, progress=lambda sent, total: seen.append((sent, total)))
        assert (done.state, done.created, seen[-1]) == (IMPORT_STATE_SUCCEEDED, 120, (120, 120))
        (row, *_) = [row async for row in crm.imports.rows(id=done.id, page_size=100)]
        assert row.row == 1
        with pytest.raises(ValueError, match="sent again"):
            await crm.customers.import_(iter(rows))


async def test_an_import_whose_connection_breaks_while_it_is_sent_goes_on(party: Party) -> None:
    """The server takes nothing for a while, so that a message is on its way when the connection breaks."""
    way = Proxy(party.stack.grpc)
    await way.open()
    rows = [Customer(external_id=f"{n}", name="Long", note="x" * 1500) for n in range(5000)]
    async with Tandem(way.address, key=party.crm_key) as crm:
        way.delay = 1
        importing = asyncio.create_task(crm.customers.import_(rows))
        await asyncio.sleep(0.3)
        way.delay = 0
        way.reset()
        done = await importing
    await way.close()
    assert (done.state, done.created) == (IMPORT_STATE_SUCCEEDED, len(rows))
