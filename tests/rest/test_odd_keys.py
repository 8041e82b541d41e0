"""Keys that other systems chose work in every route, and a hostile one harms nothing."""

from __future__ import annotations

from urllib.parse import quote

import aiohttp
import pytest
from conftest import Party
from yarl import URL

pytestmark = pytest.mark.usefixtures("deadline")

KEYS = [
    "a:b",
    "42:cancel",
    "a/b",
    "100%",
    "a b",
    "é",
    "日本",
    "..",
    ".",
    "a?b",
    "a#b",
    "%2F",
    "a+b",
    "x" * 200,
    "'; DROP",
]


@pytest.mark.parametrize("key", KEYS)
async def test_any_external_id_works_in_every_route(http: aiohttp.ClientSession, party: Party, key: str) -> None:
    base = str(party.stack.http)
    raw = quote(key, safe="")
    if key in (".", ".."):
        raw = raw.replace(".", "%2E")
    customer_url = URL(f"{base}/v1/customers/external/{raw}", encoded=True)
    async with http.put(customer_url, json={"name": "Ada"}) as reply:
        assert reply.status == 200, await reply.text()
        customer = await reply.json()
        assert customer["external_id"] == key
    async with http.get(customer_url) as reply:
        assert (reply.status, await reply.json()) == (200, customer)
    order = {
        "external_id": key,
        "customer_external_id": key,
        "currency": "GBP",
        "lines": [{"sku": key, "quantity": "1", "unit_price": "0"}],
    }
    async with http.post("/v1/orders", json=order) as reply:
        assert reply.status == 201, await reply.text()
        created = await reply.json()
    async with http.get(URL(f"{base}/v1/orders/external/{raw}", encoded=True)) as reply:
        assert (reply.status, await reply.json()) == (200, created)
    async with http.get("/v1/orders", params={"external_id": key}) as reply:
        assert [found["id"] for found in (await reply.json())["orders"]] == [created["id"]]


@pytest.mark.parametrize("key", ["", " a", "a ", "a\tb", "a\nb", "x" * 201, "\x00"])
async def test_keys_that_databases_disagree_about_are_refused(http: aiohttp.ClientSession, key: str) -> None:
    async with http.post("/v1/customers", json={"external_id": key, "name": "Ada"}) as reply:
        problem = await reply.json()
        assert reply.status == 400, problem
        assert [error["field"] for error in problem["errors"]] == ["external_id"]


async def test_keys_differ_by_capitals_and_accents(http: aiohttp.ClientSession) -> None:
    for key in ("straße", "Straße", "strasse", "e\u0301", "\u00e9"):
        async with http.post("/v1/customers", json={"external_id": key, "name": key}) as reply:
            assert reply.status == 201
            assert "idempotent-replayed" not in reply.headers
