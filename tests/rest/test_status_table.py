"""One real request for each row of the status table (design 3.2), and for each way a request can be wrong."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import pytest
from conftest import Party
from known_keys import STRANGE_CRM, STRANGE_ERP
from retail import a_customer, an_order

from tandem_client import Tandem

pytestmark = pytest.mark.usefixtures("deadline")

JSON = {"content-type": "application/json"}
CUSTOMER = {"external_id": "17850", "name": "Ada"}
ORDER = {
    "external_id": "536365",
    "customer_external_id": "17850",
    "currency": "GBP",
    "lines": [{"sku": "85123A", "quantity": "6", "unit_price": "2.55"}],
}
UNKNOWN_ORDER = "ord_01h455vb4pex5vsknk084sn02q"
UNKNOWN_CUSTOMER = "cus_01h455vb4pex5vsknk084sn02q"


async def ask(http: aiohttp.ClientSession, method: str, path: str, **arguments: Any) -> tuple[int, Any, Any]:
    """Make a request and return its status, headers and JSON."""
    async with http.request(method, path, **arguments) as reply:
        text = await reply.text()
        if reply.status >= 400:
            assert reply.content_type == "application/problem+json", text
            assert json.loads(text)["status"] == reply.status
        return reply.status, reply.headers, json.loads(text)


async def test_200_and_201(http: aiohttp.ClientSession, party: Party) -> None:
    status, headers, customer = await ask(http, "POST", "/v1/customers", json=CUSTOMER)
    assert status == 201
    assert headers["location"] == f"/v1/customers/{customer['id']}"
    assert headers["etag"] == f'"{customer["etag"]}"'
    assert "idempotent-replayed" not in headers
    status, headers, again = await ask(http, "POST", "/v1/customers", json=CUSTOMER)
    assert (status, again, headers["idempotent-replayed"]) == (201, customer, "true")
    status, headers, order = await ask(http, "POST", "/v1/orders", json=ORDER)
    assert (status, order["total"], order["status"], order["revision"]) == (201, "15.30", "NEW", 1)
    assert order["erp"] == party.erp
    status, _, seen = await ask(http, "GET", headers["location"])
    assert (status, seen) == (200, order)
    status, headers, _ = await ask(http, "PUT", "/v1/customers/external/17850", json={"name": "Ada"})
    assert (status, headers["tandem-outcome"]) == (200, "UNCHANGED")


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/v1/orders", {**ORDER, "lines": []}, "lines"),
        ("POST", "/v1/orders", {**ORDER, "total": "1.00"}, "total"),
        ("POST", "/v1/orders", {**ORDER, "colour": "red"}, "colour"),
        ("POST", "/v1/orders", {**ORDER, "currency": "GBX"}, "currency"),
        ("POST", "/v1/orders", {**ORDER, "discount_amount": "0.001"}, "discount_amount"),
        ("POST", "/v1/orders", {**ORDER, "requested_delivery_date": "2011-02-29"}, "requested_delivery_date"),
        ("POST", "/v1/orders", {**ORDER, "status": "SHIPPED"}, "status"),
        ("POST", "/v1/orders", {**ORDER, "customer_external_id": "nobody"}, "customer_external_id"),
        ("POST", "/v1/orders", {**ORDER, "customer_id": UNKNOWN_CUSTOMER}, "customer_id"),
        ("POST", "/v1/orders", {**ORDER, "ordered_at": "yesterday"}, "ordered_at"),
        ("POST", "/v1/customers", {**CUSTOMER, "type": "ROBOT"}, "type"),
        ("PATCH", f"/v1/customers/{UNKNOWN_CUSTOMER}", {"external_id": "2"}, "external_id"),
        ("PATCH", f"/v1/customers/{UNKNOWN_CUSTOMER}", {"created_at": "2010-12-01T08:26:00Z"}, "created_at"),
        ("GET", "/v1/orders/42", None, "id"),
        ("GET", f"/v1/orders/{UNKNOWN_CUSTOMER}", None, "id"),
        ("GET", "/v1/orders?colour=red", None, "colour"),
        ("GET", "/v1/orders?page_size=1000000000", None, "page_size"),
        ("GET", "/v1/orders?page_token=abc", None, "page_token"),
        ("GET", "/v1/orders?status=LOST", None, "status[0]"),
        ("GET", "/v1/orders?order_by=total", None, "order_by"),
        ("POST", "/v1/erp/orders:updateStatus", {"updates": [{"event_id": "1", "status": "NEW"}]}, "updates[0].status"),
    ],
)
async def test_400_names_the_field(
    http: aiohttp.ClientSession, party: Party, method: str, path: str, body: Any, named: str
) -> None:
    """And nothing is half-written."""
    await ask(http, "PUT", "/v1/customers/external/17850", json={"name": "Ada"})
    headers = {"authorization": f"Bearer {party.erp_key}"} if "/erp/" in path else {}
    status, _, problem = await ask(http, method, path, json=body, headers=headers)
    assert status == 400, problem
    assert named in {error["field"] for error in problem["errors"]}, problem
    assert problem["instance"].startswith("/v1/")
    _, _, orders = await ask(http, "GET", "/v1/orders")
    assert orders == {"orders": [], "next_page_token": ""}


async def test_401_403_404(http: aiohttp.ClientSession, party: Party) -> None:
    garbage = {"authorization": "Bearer garbage"}
    assert (await ask(http, "GET", "/v1/orders", headers=garbage))[0] == 401
    erp = {"authorization": f"Bearer {party.erp_key}"}
    status, _, problem = await ask(http, "GET", "/v1/orders", headers=erp)
    assert (status, problem["reason"]) == (403, "SCOPE_MISSING")
    assert (await ask(http, "GET", f"/v1/orders/{UNKNOWN_ORDER}"))[0] == 404
    assert (await ask(http, "GET", "/v1/nothing"))[0] == 404
    assert (await ask(http, "GET", "/v1/orders/external/nothing"))[0] == 404


async def test_404_for_what_belongs_to_another_party(http: aiohttp.ClientSession, party: Party) -> None:
    await ask(http, "POST", "/v1/customers", json=CUSTOMER)
    _, _, order = await ask(http, "POST", "/v1/orders", json=ORDER)
    other = {"authorization": f"Bearer {STRANGE_CRM.key}"}
    for path in (
        f"/v1/orders/{order['id']}",
        "/v1/orders/external/536365",
        f"/v1/customers/{order['customer_id']}",
        "/v1/customers/external/17850",
    ):
        assert (await ask(http, "GET", path, headers=other))[0] == 404
    status, _, _ = await ask(http, "PATCH", f"/v1/customers/{order['customer_id']}", json={"name": "X"}, headers=other)
    assert status == 404
    stranger = {"authorization": f"Bearer {STRANGE_ERP.key}"}
    assert (await ask(http, "GET", f"/v1/erp/customers/{order['customer_id']}", headers=stranger))[0] == 404
    update = {"event_id": "1", "status": "SHIPPED", "occurred_at": "2010-12-01T08:26:00Z"}
    path = f"/v1/erp/orders/{order['id']}:updateStatus"
    assert (await ask(http, "POST", path, json=update, headers=stranger))[0] == 404
    _, _, seen = await ask(http, "GET", f"/v1/orders/{order['id']}")
    assert seen == order


async def test_405_and_415(http: aiohttp.ClientSession) -> None:
    status, headers, _ = await ask(http, "DELETE", "/v1/orders")
    assert status == 405
    assert set(headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    headers = {"content-type": "text/plain"}
    assert (await ask(http, "POST", "/v1/orders", data=b"{}", headers=headers))[0] == 415


async def test_409_and_412(http: aiohttp.ClientSession, party: Party) -> None:
    _, headers, customer = await ask(http, "POST", "/v1/customers", json=CUSTOMER)
    status, _, problem = await ask(http, "POST", "/v1/customers", json={**CUSTOMER, "name": "Bob"})
    assert (status, [error["field"] for error in problem["errors"]]) == (409, ["name"])
    path = f"/v1/customers/{customer['id']}"
    first = {"if-match": headers["etag"]}
    status, _, changed = await ask(http, "PATCH", path, json={"email": "a@example.com"}, headers=first)
    assert (status, changed["email"]) == (200, "a@example.com")
    status, _, problem = await ask(http, "PATCH", path, json={"email": ""}, headers=first)
    assert (status, problem["metadata"]["etag"]) == (412, changed["etag"])
    status, _, cleared = await ask(http, "PATCH", path, json={"email": ""}, headers={"if-match": "*"})
    assert (status, cleared["email"], cleared["name"]) == (200, "", "Ada")


@pytest.mark.parametrize("odd", ["x" * 190, f"00-{'f' * 40}-1-1", f"00-{'a' * 32}-{'b' * 16}-01", "-"])
async def test_whatever_a_caller_says_of_its_trace_harms_nothing(http: aiohttp.ClientSession, odd: str) -> None:
    await ask(http, "POST", "/v1/customers", json=CUSTOMER)
    headers = {"traceparent": odd}
    status, _, order = await ask(http, "POST", "/v1/orders", json=ORDER, headers=headers)
    assert status == 201
    _, _, told = await ask(http, "GET", f"/v1/orders/{order['id']}/events")
    assert told["events"][0]["trace_id"] in ("", "a" * 32)


async def test_413(http: aiohttp.ClientSession) -> None:
    assert (await ask(http, "POST", "/v1/orders", data=io.BytesIO(b" " * ((4 << 20) + 1)), headers=JSON))[0] == 413


async def test_an_order_at_the_limit_of_lines_passes_whole_and_one_line_more_does_not(
    http: aiohttp.ClientSession, party: Party
) -> None:
    async with party.crm() as crm, party.worker() as worker:
        await crm.customers.upsert(a_customer())
        whole = await crm.orders.create(an_order("whole", lines=2000))
        assert len(whole.lines) == 2000
        (delivery,) = await worker.erp.lease("w")
        assert list(delivery.order.lines) == list(whole.lines)
        await asks_for_fewer_lines(http, crm)


async def refused_fields(http: aiohttp.ClientSession, body: Any) -> list[str]:
    data = io.BytesIO(json.dumps(body).encode())
    status, _, problem = await ask(http, "POST", "/v1/orders", data=data, headers=JSON)
    assert status == 400
    return [error["field"] for error in problem["errors"]]


async def asks_for_fewer_lines(http: aiohttp.ClientSession, crm: Tandem) -> None:
    body = {**ORDER, "lines": ORDER["lines"] * 2001}  # type: ignore[operator]
    assert await refused_fields(http, body) == ["lines"]
    heavy = {**ORDER, "lines": [{**ORDER["lines"][0], "note": "x" * 500, "description": "y" * 500}] * 1500}  # type: ignore[dict-item]
    assert await refused_fields(http, heavy) == ["lines"]
    assert [order.external_id async for order in crm.orders.list()] == ["whole"]
