"""Rows are read as MySQL's protocol writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from aiomysql.connection import Connection
from pymysql.err import InternalError, OperationalError, ProgrammingError
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from tandem_server.storage.dialects.aiomysql_rows import AT_ONCE, read_packet, read_row, read_rows

BOUNDS = ((251, 0, 1), (1 << 16, 252, 2), (1 << 24, 253, 3), (1 << 64, 254, 8))
LENGTHS = (0, 1, 250, 251, 252, 255, 65_535, 65_536, 1 << 24)


def cell(value: bytes | None) -> bytes:
    """Write a cell as MySQL does: a length of one byte up to 250, else a mark and two, three or eight bytes."""
    if value is None:
        return b"\xfb"
    length = len(value)
    mark, width = next((m, w) for most, m, w in BOUNDS if length < most)
    return (bytes([mark]) if mark else b"") + length.to_bytes(width, "little") + value


@pytest.mark.parametrize("length", LENGTHS)
def test_a_cell_of_any_length(length: int) -> None:
    rows = [b"x" * length, None, "é".encode(), b"1.50", b"7", b""]
    converters = [(None, None), ("utf8", None), ("utf8", None), ("ascii", Decimal), ("ascii", int), ("utf8", None)]
    result: Any = SimpleNamespace(converters=converters)
    packet = MysqlPacket(b"".join(map(cell, rows)), "utf8")
    assert read_row(result, packet) == (b"x" * length, None, "é", Decimal("1.50"), 7, "")


COLUMN = b"".join(map(cell, (b"def", b"d", b"t", b"t", b"name", b"name"))) + b"\x0c\x21\x00\x0c\0\0\0\xfd\0\0\0\0\0"


def packet(number: int, payload: bytes) -> bytes:
    """Write a packet as MySQL does."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


class Wire(Connection):  # type: ignore[misc]  # aiomysql has no types
    """A connection to which a server's bytes come from us."""

    def __init__(self) -> None:
        super().__init__(user="anybody")
        self._reader, self._next_seq_id = asyncio.StreamReader(), 0
        self._writer = SimpleNamespace(transport=SimpleNamespace(close=lambda: None))

    def tell(self, *told: bytes) -> None:
        self._reader.feed_data(b"".join(told))


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    wire.close()


async def test_packets_are_read_in_turn_however_they_come(wire: Wire) -> None:
    """All at once, byte by byte, and so many that their numbers begin again."""
    payloads = [b"one", *(b"x%d" % number for number in range(3 * 256)), b"last"]
    told = [packet(number % 256, payload) for number, payload in enumerate(payloads)]
    wire.tell(*told[:-1])
    assert [(await read_packet(wire)).get_all_data() for _ in told[:-1]] == payloads[:-1]
    last = asyncio.create_task(read_packet(wire))
    for byte in told[-1]:
        await asyncio.sleep(0)
        assert not last.done()
        wire.tell(bytes([byte]))
    assert (await last).get_all_data() == b"last"


async def test_a_payload_of_16_mib_comes_in_two_packets(wire: Wire) -> None:
    length = 0xFFFFFF
    wire.tell(packet(0, b"x" * length), packet(1, b"yz"), packet(2, b"next"))
    assert (await read_packet(wire)).get_all_data() == b"x" * length + b"yz"
    assert (await read_packet(wire)).get_all_data() == b"next"


async def test_an_error_is_raised(wire: Wire) -> None:
    wire.tell(packet(0, b"\xff" + (1146).to_bytes(2, "little") + b"#42S02no such table"))
    with pytest.raises(ProgrammingError, match="no such table"):
        await read_packet(wire)


@pytest.mark.parametrize(("number", "error"), [(0, OperationalError), (7, InternalError)])
async def test_a_packet_out_of_turn_ends_the_connection(wire: Wire, number: int, error: type[Exception]) -> None:
    wire.tell(packet(0, b"first"), packet(number, b"second"))
    await read_packet(wire)
    with pytest.raises(error):
        await read_packet(wire)
    assert wire.closed


async def test_equal_columns_are_one(wire: Wire) -> None:
    wire.tell(packet(0, COLUMN), packet(1, COLUMN), packet(2, COLUMN.replace(b"name", b"nomi")))
    first, second, third = [await read_packet(wire, FieldDescriptorPacket) for _ in range(3)]
    assert first is second
    assert (first.name, third.name) == ("name", "nomi")


async def test_who_is_cancelled_halfway_through_a_result_leaves_no_connection(wire: Wire) -> None:
    wire.tell(*(packet(number, b"\x01x") for number in range(3 * AT_ONCE)))
    result: Any = SimpleNamespace(converters=[("ascii", None)], connection=wire, _check_packet_is_eof=lambda _: False)
    reading = asyncio.create_task(read_rows(result))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert wire.closed
