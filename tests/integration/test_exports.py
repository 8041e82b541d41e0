"""Exports as files: what is in them, how it is read back, and what becomes of them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from conftest import Party, new_party
from known_keys import REPORTS
from retail import a_customer, an_order, hand_over

from tandem.crm.v1.address_pb2 import Address
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.shipment_pb2 import Shipment, ShippedLine
from tandem.erp.v1.delivery_requests_pb2 import Acknowledgement
from tandem_client import StatusUpdate

pytestmark = pytest.mark.usefixtures("deadline")

DANGEROUS = ("=1+1", "+1", "-1", "@A1", "'=1", "''-1")
HARMLESS = ("a=1", "'tis", "1-1", 'says "hi", twice', "é")
ADDRESS = Address(recipient="=HYPERLINK()", line1="1 High Street", city="London", country="GB", phone="+44 20")


@pytest.fixture
async def reports(party: Party) -> AsyncIterator[aiohttp.ClientSession]:
    """A REST caller that may export what is the party's."""
    headers = {"authorization": f"Bearer {party.integration_key}"}
    async with aiohttp.ClientSession(party.stack.http, headers=headers, auto_decompress=False) as session:
        yield session


async def fetched(http: aiohttp.ClientSession, path: str, **headers: str) -> tuple[bytes, Any]:
    async with http.get(f"/v1/exports/{path}", headers={"accept-encoding": "identity"} | headers) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.read(), reply.headers


async def rows(http: aiohttp.ClientSession, path: str) -> list[dict[str, str]]:
    data, headers = await fetched(http, path)
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert data.count(b"\r\n") >= 1
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def flat(document: dict[str, Any], *without: str) -> dict[str, str]:
    """Return a resource as a row of CSV, formulas raw; instants as they are compared."""
    cells: dict[str, str] = {}
    for name, value in document.items():
        if name in without:
            continue
        if isinstance(value, dict) and name.endswith("_address"):
            cells |= {f"{name}.{part}": text for part, text in value.items()}
        elif isinstance(value, dict | list):
            cells[name] = json.dumps(value, separators=(",", ":")) if value else ""
        else:
            cells[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return cells


def same(row: dict[str, str], cells: dict[str, str]) -> None:
    """Compare a row with a resource: what the resource leaves out is empty, and instants are equal in value."""
    for name, cell in row.items():
        told = cells.pop(name, "")
        if name.endswith("_at") and told:
            told = told if "." in told else told.replace("Z", ".000000Z")
            told = told[:-1].ljust(26, "0") + "Z"
        assert cell == told, name
    assert cells == {}


async def get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as reply:
        return await reply.json()


def an_odd_order() -> Order:
    order = an_order("=1+1", lines=3)
    order.note = "\t=1\r\nsecond line"
    order.number, order.customer_reference, order.payment_terms = "-5", "'=1", 'say "30 days", net'
    order.shipping_amount, order.lines[0].unit_price, order.lines[1].quantity = "4.5", "0.125", "0.500"
    order.attributes["segment"] = "=b2b"
    order.billing_address.CopyFrom(ADDRESS)
    return order


async def test_every_cell_of_an_order_is_what_the_api_says(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await crm.customers.create(a_customer())
        first = await crm.orders.create(an_odd_order())
        await crm.orders.create(an_order())
    (row, other) = await rows(reports, "orders?formulas=raw")
    stored = await get(reports, f"/v1/orders/{first.id}")
    same(row, flat(stored, "lines", "shipments", "delivery", "etag"))
    assert (row["note"], row["total"], other["total"]) == ("\t=1\r\nsecond line", "13.56", "7.65")
    lines = await rows(reports, f"order-lines.csv?formulas=raw&external_id={'%3D1%2B1'}")
    head = {name: stored[name] for name in ("source", "currency", "revision", "updated_at")}
    head |= {"order_id": stored["id"], "order_external_id": stored["external_id"]}
    for line, told in zip(lines, stored["lines"], strict=True):
        same(line, flat(head | told))
    assert [(line["unit_price"], line["quantity"]) for line in lines] == [
        ("0.125", "1"),
        ("2.55", "0.5"),
        ("2.55", "3"),
    ]


async def test_cells_that_a_spreadsheet_would_execute_are_inert(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        for number, name in enumerate(DANGEROUS + HARMLESS):
            customer = a_customer(f"{number}")
            customer.name, customer.note = name, f"\t{name}"
            customer.shipping_address.CopyFrom(ADDRESS)
            await crm.customers.create(customer)
    safe, raw = await rows(reports, "customers"), await rows(reports, "customers?formulas=raw")
    assert [row["name"] for row in raw] == [*DANGEROUS, *HARMLESS]
    assert [row["name"] for row in safe] == [*(f"'{name}" for name in DANGEROUS), *HARMLESS]
    assert all(row["note"].startswith("'\t") for row in safe)
    assert {(row["shipping_address.recipient"], row["shipping_address.phone"]) for row in safe} == {
        ("'=HYPERLINK()", "'+44 20")
    }
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in safe for cell in row.values())
    stored = await get(reports, f"/v1/customers/{raw[0]['id']}")
    same(raw[0], flat(stored, "etag") | {"type": ""})


async def test_ndjson_has_the_same_rows(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await crm.customers.create(a_customer())
        await crm.orders.create(an_odd_order())
    data, headers = await fetched(reports, "orders", accept="application/x-ndjson")
    assert headers["content-type"] == "application/x-ndjson"
    (document,) = map(json.loads, data.splitlines())
    stored = await get(reports, f"/v1/orders/{document['id']}")
    for name in ("lines", "shipments", "delivery", "etag", "ordered_at", "created_at", "updated_at"):
        stored.pop(name)
        document.pop(name, None)
    assert document == stored
    data, _ = await fetched(reports, "customers?format=NDJSON")
    assert json.loads(data)["type"] == "UNSPECIFIED"
    data, _ = await fetched(reports, "order-lines?format=NDJSON")
    assert [json.loads(line)["line_number"] for line in data.splitlines()] == [1, 2, 3]


async def test_what_became_of_an_export_is_kept_for_its_party(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await hand_over(crm, 2)
    data, headers = await fetched(reports, "orders", **{"accept-encoding": "gzip"})
    assert (headers["content-encoding"], headers["transfer-encoding"]) == ("gzip", "chunked")
    assert headers["vary"] == "Accept, Accept-Encoding"
    plain, path = gzip.decompress(data), f"/v1/exports/{headers['tandem-export-id']}"
    export = await get(reports, path)
    assert (export["subject"], export["format"], export["complete"], export["rows"]) == ("ORDERS", "CSV", True, "2")
    assert (export["bytes"], export["sha256"]) == (str(len(plain)), hashlib.sha256(plain).hexdigest())
    assert export["watermark"] < export["started_at"] <= export["finished_at"]
    stranger = {"authorization": f"Bearer {new_party(party.stack).integration_key}"}
    async with reports.get(path, headers=stranger) as reply:
        assert reply.status == 404
    async with reports.get(path, headers={"authorization": f"Bearer {REPORTS.key}"}) as reply:
        assert (reply.status, await reply.json()) == (200, export)


async def test_where_there_is_nothing_there_is_a_header(party: Party, reports: aiohttp.ClientSession) -> None:
    for subject, columns in (("orders", 51), ("order-lines", 21), ("customers", 35)):
        data, _ = await fetched(reports, f"{subject}.csv")
        assert (len(data.split(b",")), data.count(b"\r\n"), data[-2:]) == (columns, 1, b"\r\n")
        data, _ = await fetched(reports, subject, accept="application/x-ndjson")
        assert data == b""
    async with reports.head("/v1/exports/orders") as reply:
        assert (reply.status, await reply.read()) == (200, b"")


async def test_lines_are_of_the_revision_as_it_is(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm, party.worker() as worker:
        first, second = await hand_over(crm, 2, lines=3)
        await crm.orders.amend(first.id, Order(lines=an_order(lines=2).lines))
        for delivery in await worker.erp.lease("w", max_orders=2):
            told = Acknowledgement(order_id=delivery.order.id, lease_token=delivery.lease_token, erp_document="")
            told.erp_document = f"SO-{delivery.order.external_id}"
            await worker.erp.acknowledge([told])
        shipment = Shipment(shipment_id="s", lines=[ShippedLine(line_number=2, quantity="1.5")])
        update = StatusUpdate(event_id="e", order_id=second.id, shipments=[shipment])
        update.occurred_at.GetCurrentTime()
        await worker.erp.update_status([update])
    lines = [(row["order_id"], row["revision"], row["shipped_quantity"]) for row in await rows(reports, "order-lines")]
    assert lines == [(first.id, "2", "0")] * 2 + [(second.id, "1", n) for n in ("0", "1.5", "0")]


async def test_filters_are_those_of_the_list(party: Party, reports: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        one, two, three = await hand_over(crm, 3)
        await crm.orders.cancel(two.id)
    changed = (await get(reports, f"/v1/orders/{three.id}"))["updated_at"]
    for query, expected in (
        ("status=CANCELLED", [two]),
        ("status=NEW", [one, three]),
        (f"external_id={one.external_id}", [one]),
        (f"updated_after={changed}", [two]),
        (f"created_after={(await get(reports, f'/v1/orders/{one.id}'))['created_at']}", [two, three]),
        (f"customer_id={one.customer_id}", [one, two, three]),
    ):
        assert [row["id"] for row in await rows(reports, f"orders?{query}")] == [order.id for order in expected], query
        assert [row["order_id"] for row in await rows(reports, f"order-lines?{query}")] == [o.id for o in expected]
    assert len(await rows(reports, "customers?email=17850@EXAMPLE.com")) == 1
    async with reports.get("/v1/exports/orders?status=LOST&formulas=x") as reply:
        assert reply.status == 400
