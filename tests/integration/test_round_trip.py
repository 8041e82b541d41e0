"""What is exported can be read by others, cell by cell, and comes in again as it was."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from conftest import ROOT, Party
from retailer.crm import order
from retailer.invoices import Invoice, amount, grouped
from retailer.sample import rows

from integration.uploads import counts, post

pytestmark = pytest.mark.usefixtures("deadline")

INVOICES = [invoice for invoice in grouped(rows())[:60] if invoice.valid]
UNTIDY = ('say "hi", twice', "two\nlines", "=1+1", "'tis", "-", "é; \t ü", "\\N")


@pytest.fixture
async def http(party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    """Whoever imports and exports for the party."""
    headers = {"authorization": f"Bearer {party.integration_key}"}
    async with aiohttp.ClientSession(party.stack.http, headers=headers) as session:
        yield session


def customers_csv() -> bytes:
    """Return the customers of the invoices, each with a note that is hard to write."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("external_id", "name", "note", "attributes.segment", "billing_address.city"))
    customers = sorted({invoice.customer for invoice in INVOICES})
    writer.writerows(
        (customer, f"Customer {customer}", UNTIDY[number % len(UNTIDY)], f"=s{number}", "London")
        for number, customer in enumerate(customers)
    )
    return file.getvalue().encode()


async def exported(http: aiohttp.ClientSession, path: str) -> bytes:
    async with http.get(f"/v1/exports/{path}") as reply:
        assert reply.status == 200
        return await reply.read()


def read_by_python(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def read_by_sqlite(data: bytes, folder: Path) -> list[list[str]]:
    """Import *data* as a table of texts, and return it."""
    header = read_by_python(data)[0]
    (folder / "file.csv").write_bytes(data)
    columns = ", ".join(f'"{name}" TEXT' for name in header)
    commands = (f"CREATE TABLE t ({columns});", ".import --csv --skip 1 file.csv t", ".mode json", "SELECT * FROM t;")
    command = [str(ROOT / "scripts/tool"), "sqlite3", "-bail"]
    given = "\n".join(commands).encode()
    told = subprocess.run(command, input=given, cwd=folder, capture_output=True, check=True, timeout=60)
    assert told.stderr == b""
    return [header, *([row[name] for name in header] for row in json.loads(told.stdout))]


def by_country(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for country, each in amounts:
        sums[country] += each
    return sums


def total(invoice: Invoice) -> Decimal:
    return sum((amount(line.quantity, line.unit_price) for line in invoice.lines), Decimal(0))


async def test_python_and_sqlite_read_every_cell_of_what_a_retailer_brought(
    party: Party, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    _, done = await post(http, customers_csv())
    async with party.crm() as crm:
        for invoice in INVOICES:
            await crm.orders.create(order(invoice))
    files = {path: await exported(http, f"{path}.csv?formulas=raw") for path in ("orders", "order-lines", "customers")}
    read = {path: read_by_python(data) for path, data in files.items()}
    for path, data in files.items():
        assert read_by_sqlite(data, tmp_path) == read[path]
    customers, lines, orders = ([dict(zip(read[p][0], row, strict=True)) for row in read[p][1:]] for p in sorted(read))
    assert {row["note"] for row in customers} == set(UNTIDY)
    assert (len(customers), len(lines)) == (done["created"], sum(len(invoice.lines) for invoice in INVOICES))
    told = ((json.loads(row["attributes"])["country_name"], Decimal(row["total"])) for row in orders)
    assert by_country(told) == by_country((invoice.country, total(invoice)) for invoice in INVOICES)


async def test_an_export_of_customers_can_be_imported_and_changes_nothing(http: aiohttp.ClientSession) -> None:
    _, done = await post(http, customers_csv())
    file = await exported(http, "customers.csv")
    status, again = await post(http, file)
    assert (status, counts(again)) == (200, {"unchanged": done["created"]})
    status, again = await post(
        http, await exported(http, "customers?format=NDJSON"), content_type="application/x-ndjson"
    )
    assert (status, counts(again)) == (200, {"unchanged": done["created"]})
    _, changed = await post(http, file.replace(b",London,", b",Leeds,"))
    assert counts(changed) == {"updated": done["created"]}
    both = b"external_id,name,billing_city,billing_address.city\nC1,Ada,London,Leeds\n"
    status, problem = await post(http, both)
    assert (status, problem["errors"][0]) == (400, {"field": "billing_city", "description": "is there twice"})
