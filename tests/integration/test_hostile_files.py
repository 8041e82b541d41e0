"""Files that are made to keep a server busy: nobody else waits for what they are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence

import pytest

from tandem.crm.v1.customer_pb2 import Customer
from tandem.integration.v1.import_pb2 import (
    IMPORT_FORMAT_CSV,
    IMPORT_FORMAT_NDJSON,
    IMPORT_FORMAT_UNSPECIFIED,
    ImportFormat,
)
from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem_proto.errors import InvalidArgument
from tandem_server.domain.csv_reading import CsvReader
from tandem_server.domain.ndjson_reading import NdjsonReader
from tandem_server.rpc.import_uploads import Upload

PIECE_BYTES = 256 << 10
TURN_SECONDS = 0.5
"""CPU time between two turns of another task: a tenth of it was seen, and ten times as much before turns were given."""

MANY = 7_000
WIDE = b"external_id,name," + b",".join(b"attributes.k%d" % n for n in range(MANY)) + b"\n"
WRONG = json.dumps({"external_id": " ", "name": "", "attributes": {f"A {n}": "\n" for n in range(50)}}).encode()
FILES = {
    "empty lines": (IMPORT_FORMAT_CSV, b"external_id,name\n" + b"\n" * (1 << 22)),
    "empty lines in cells": (IMPORT_FORMAT_CSV, b"external_id,name\n" + (b'"' + b"\n" * 120_000 + b'",x\n') * 3),
    "one byte a row": (IMPORT_FORMAT_CSV, b"external_id,name\n" + b"a\n" * 4_000),
    "a header of nothing": (IMPORT_FORMAT_CSV, b"," * 130_000 + b"\n"),
    "a million columns": (IMPORT_FORMAT_CSV, b",".join(b"%x" % n for n in range(1_000_000)) + b"\n"),
    "thousands of bad attributes": (IMPORT_FORMAT_CSV, WIDE + (b"1,2" + b",\x01" * MANY + b"\n") * 30),
    "a cell without an end": (IMPORT_FORMAT_CSV, b'a,"' + b"x\n" * (1 << 20)),
    "JSON of nothing": (IMPORT_FORMAT_NDJSON, b"{}\n" * 4_000),
    "JSON that is all wrong": (IMPORT_FORMAT_NDJSON, (WRONG + b"\n") * 100),
}


async def in_pieces(file: bytes) -> AsyncIterator[ImportCustomersRequest]:
    for start in range(0, len(file), PIECE_BYTES):
        yield ImportCustomersRequest(data=file[start : start + PIECE_BYTES])


async def longest_turn(requests: AsyncIterator[ImportCustomersRequest], kind: ImportFormat.ValueType) -> float:
    """Read an upload to its end and return how long another task waited at most, in CPU time of this thread."""
    longest = 0.0

    async def others() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    waiting = asyncio.create_task(others())
    await asyncio.sleep(0)  # it begins to wait
    try:
        upload = Upload(requests, ImportCustomersRequest(import_id="x", format=kind))
        await upload.meaning()
        async for chunk in upload.chunks():
            await chunk.rows()
    except InvalidArgument:
        pass  # as it should be: how soon is what is asked here
    await asyncio.sleep(0)
    waiting.cancel()
    return longest


@pytest.mark.parametrize("name", FILES)
async def test_others_have_their_turn_while_a_hostile_file_is_read(name: str) -> None:
    kind, file = FILES[name]
    assert await longest_turn(in_pieces(file), kind) < TURN_SECONDS


async def test_others_have_their_turn_while_hostile_messages_are_read() -> None:
    customer = Customer(external_id="a", name="n", attributes={f"k{n}": "\n" for n in range(MANY)})

    async def requests(each: Sequence[Customer] = (customer,) * 20) -> AsyncIterator[ImportCustomersRequest]:
        yield ImportCustomersRequest(customers=each)

    assert await longest_turn(requests(), IMPORT_FORMAT_UNSPECIFIED) < TURN_SECONDS


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\r\n"])
@pytest.mark.parametrize("reader", [CsvReader, NdjsonReader])
def test_empty_lines_cost_next_to_nothing(reader: type[CsvReader | NdjsonReader], end: bytes) -> None:
    """A gigabyte of them, a few megabytes on the way, takes less than two minutes of the server's time."""
    reads, block = reader(), end * (16_000 // len(end))
    list(reads.feed(b"[1]\n"))
    began = time.thread_time()
    for _ in range(500):
        assert list(reads.feed(block)) == []
    assert time.thread_time() - began < 120 * 500 * len(block) / (1 << 30)
