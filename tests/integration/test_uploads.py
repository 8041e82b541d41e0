"""What a body may be that goes up as it arrives: its size, its pace, its compression."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from conftest import new_party
from stack import Stack

from integration.uploads import customers_csv, get, post

pytestmark = [
    pytest.mark.usefixtures("deadline"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session"),
]

MOST = 2 << 20
HEAD = b"external_id,name\n"


@pytest.fixture(scope="module")
def strict(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack of little patience."""
    return make_stack(make_database(database), http_upload_bytes=str(MOST), http_read_seconds="1")


@pytest.fixture
async def http(strict: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": f"Bearer {new_party(strict).crm_key}"}
    async with aiohttp.ClientSession(strict.http, headers=headers) as session:
        yield session


async def endless(piece: bytes) -> AsyncIterator[bytes]:
    yield HEAD
    while True:
        yield piece


async def test_several_members_of_gzip_are_one_file(http: aiohttp.ClientSession) -> None:
    file = customers_csv(700)
    packed = b"".join(gzip.compress(file[start : start + 10_000]) for start in range(0, len(file), 10_000))
    status, done = await post(http, packed, content_encoding="gzip")
    assert (status, done["rows"]) == (200, 700)


@pytest.mark.parametrize("spoil", [lambda packed: packed[:-1], lambda packed: packed[:0], lambda packed: packed + b"x"])
async def test_gzip_that_is_cut_or_spoiled_stores_nothing(
    http: aiohttp.ClientSession, spoil: Callable[[bytes], bytes]
) -> None:
    status, problem = await post(http, spoil(gzip.compress(HEAD + b"1,Ada\n")), content_encoding="gzip")
    assert (status, problem["reason"]) == (400, "BAD_BODY")
    assert (await get(http, "/v1/customers"))["customers"] == []


@pytest.mark.parametrize(
    ("file", "advice"),
    [
        (gzip.compress(HEAD), "Content-Encoding"),
        ((HEAD + b"1,Ada\n").decode().encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04\x14\x00", "save it as CSV"),
        (HEAD + "1,Müller\n".encode("latin-1"), "line 2: save it as UTF-8"),
    ],
    ids=["gzip", "UTF-16", "workbook", "Latin-1"],
)
async def test_what_is_no_text_is_refused_with_what_to_do(
    http: aiohttp.ClientSession, file: bytes, advice: str
) -> None:
    status, problem = await post(http, file)
    assert (status, problem["reason"], advice in problem["errors"][0]["description"]) == (400, "UNREADABLE_FILE", True)


async def test_another_compression_and_another_type_are_415(http: aiohttp.ClientSession) -> None:
    packed = {"content_encoding": "deflate"}
    for headers in (packed, {"content_type": "text/csv; charset=latin1"}, {"content_type": "application/json"}):
        status, problem = await post(http, zlib.compress(HEAD), **headers)
        assert (status, problem["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    status, done = await post(http, HEAD, content_type='Text/CSV; charset="UTF-8"')
    assert (status, done["state"], done["rows"]) == (200, "SUCCEEDED", 0)
    status, problem = await post(http, HEAD, "format=NDJSON")
    assert (status, problem["errors"][0]["field"]) == (400, "format")


async def test_a_bomb_and_an_endless_body_are_413_and_store_whole_chunks_at_most(
    http: aiohttp.ClientSession,
) -> None:
    rows = b"".join(b"A%d,Name\n" % n for n in range(20_000))
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(HEAD + rows + b"\n" * (64 << 20)) + packer.flush()
    assert len(bomb) < 200_000
    status, problem = await post(http, bomb, "import_id=bomb", content_encoding="gzip")
    assert (status, problem["reason"]) == (413, "BODY_TOO_LARGE")
    status, problem = await post(http, endless(b"\n" * 10_000), "import_id=endless")
    assert (status, problem["reason"]) == (413, "BODY_TOO_LARGE")
    assert len((await get(http, "/v1/customers?page_size=1000"))["customers"]) in (0, 500, 1000)


async def test_a_body_that_stops_coming_is_408(http: aiohttp.ClientSession) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield HEAD
        yield b"1,Ada\n"
        await asyncio.sleep(30)

    status, problem = await post(http, stuck())
    assert (status, problem["reason"]) == (408, "REQUEST_TIMEOUT")


async def test_a_row_too_long_is_refused(http: aiohttp.ClientSession) -> None:
    status, problem = await post(http, HEAD + b"1," + b"x" * 200_000)
    assert (status, problem["reason"], problem["errors"][0]["field"]) == (400, "UNREADABLE_FILE", "data")


async def test_who_says_100_continue_is_told_to_go_on(strict: Stack, http: aiohttp.ClientSession) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield HEAD + b"1,Ada\n"

    headers: dict[str, Any] = {"content-type": "text/csv"}
    async with http.post("/v1/customers:import", data=body(), headers=headers, expect100=True) as reply:
        assert (reply.status, (await reply.json())["created"]) == (200, 1)


async def test_options_are_validated_like_every_request(http: aiohttp.ClientSession) -> None:
    status, problem = await post(http, HEAD, "import_id=a/b&columns=nope&mode=SOME&dry_run=2&data=eA&x=1")
    assert status == 400
    assert {wrong["field"] for wrong in problem["errors"]} == {"mode", "dry_run", "data", "x"}
    status, problem = await post(http, HEAD, "import_id=a%2Fb&columns=nope")
    assert {wrong["field"] for wrong in problem["errors"]} == {"import_id", "columns[0]"}
