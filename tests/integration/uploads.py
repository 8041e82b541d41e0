"""Files to import, and how they are sent over REST: whole, or cut."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from conftest import Party
from yarl import URL

IMPORT = "/v1/customers:import"
CSV = {"content-type": "text/csv"}
NDJSON = {"content-type": "application/x-ndjson"}


def customers_csv(rows: int, *, first: int = 1, name: str = "Customer") -> bytes:
    """Return a CSV of *rows* customers, one in seven of which has a bad country."""
    lines = [
        f'C{n},"{name}, {n}",c{n}@example.com,{"Wonderland" if n % 7 == 0 else "GB"}'
        for n in range(first, first + rows)
    ]
    return "\r\n".join(["external_id,name,email,billing_country", *lines, ""]).encode()


async def post(http: aiohttp.ClientSession, body: Any, query: str = "", **headers: str) -> tuple[int, Any]:
    """Import a CSV, or what *headers* say, and return status and document."""
    sent = CSV | {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(URL(f"{IMPORT}?{query}", encoded=True), data=body, headers=sent) as reply:
        return reply.status, await reply.json(content_type=None)


async def get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(URL(path, encoded=True)) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.json()


async def rows_of(http: aiohttp.ClientSession, import_id: str, query: str = "") -> list[Any]:
    """Return what became of all rows of an import."""
    rows: list[Any] = []
    token = ""
    while True:
        page = await get(http, f"/v1/imports/{import_id}/rows?page_size=1000&page_token={token}&{query}")
        rows += page["rows"]
        token = page["next_page_token"]
        if not token:
            return rows


async def failed_csv(http: aiohttp.ClientSession, import_id: str) -> bytes:
    async with http.get(f"/v1/imports/{import_id}/failed.csv") as reply:
        assert (reply.status, reply.content_type) == (200, "text/csv")
        return await reply.read()


async def cut(party: Party, body: bytes, at: int, query: str = "", *, chunked: bool = True) -> None:
    """Send *body* up to byte *at* in a request that promises all of it, and break off once the gateway has that."""
    url = URL(party.stack.http)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    head = f"POST {IMPORT}?{query} HTTP/1.1\r\nhost: {url.host}\r\nauthorization: Bearer {party.crm_key}\r\n"
    sent = body[:at]
    writer.write(f"{head}content-type: text/csv\r\n{framing}\r\n\r\n".encode())
    writer.write(b"%x\r\n%s\r\n" % (len(sent), sent) if chunked and sent else sent)
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.transport.abort()
    reader.feed_eof()


COUNTS = ("created", "updated", "unchanged", "failed", "ambiguous", "not_reached")


def counts(document: Any) -> dict[str, int]:
    return {name: document[name] for name in COUNTS if document[name]}


def problems(rows: list[Any]) -> dict[int, tuple[str, list[str]]]:
    return {row["row"]: (row["reason"], [wrong["field"] for wrong in row["errors"]]) for row in rows}


async def customer(http: aiohttp.ClientSession, external_id: str) -> Any:
    return await get(http, f"/v1/customers/external/{external_id}")
