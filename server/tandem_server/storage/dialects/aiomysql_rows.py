"""How rows are read with aiomysql: its own way, two waits a packet and five calls a cell, takes 1.7 times as long."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from aiomysql.connection import Connection, MySQLResult
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from tandem_server.turns import others_first

HEADER = 4
"""A packet's length takes three bytes, its number one; so many bytes follow."""
SPLIT = 0xFFFFFF
"""A packet of this length goes on in the next one."""
ERROR = 255
"""What the packet of an error begins with."""
NULL = 251
WIDTHS = {252: 2, 253: 3, 254: 8}
"""How many bytes tell the length of a cell whose first byte is one of these; any lower one is the length itself."""
AT_ONCE = 32
"""Rows that are read in one piece of long work."""

column = lru_cache(maxsize=4096)(FieldDescriptorPacket)
"""Return a column as its packet describes it: the same statements return the same columns again and again."""
wait_for_packet = Connection._read_packet  # noqa: SLF001 - there is no other way in


async def read_packet(connection: Any, packet_type: Any = MysqlPacket) -> Any:
    """Return the next packet; what has not come yet, or is not plain, is left to `Connection._read_packet`."""
    buffer, number = connection._reader._buffer, connection._next_seq_id  # noqa: SLF001
    length = int.from_bytes(buffer[:3], "little")
    end = HEADER + length
    if len(buffer) < end or not 0 < length < SPLIT or buffer[3] != number or buffer[HEADER] == ERROR:
        return await wait_for_packet(connection, packet_type)
    payload = bytes(buffer[HEADER:end])
    del buffer[:end]
    connection._next_seq_id = (number + 1) % 256  # noqa: SLF001
    return (column if packet_type is FieldDescriptorPacket else packet_type)(payload, connection.encoding)


async def read_rows(result: Any) -> None:
    """Read all rows of *result*, as `MySQLResult._read_rowdata_packet` does, but in pieces."""
    connection, rows = result.connection, list[tuple[Any, ...]]()
    while not result._check_packet_is_eof(packet := await connection._read_packet()):  # noqa: SLF001
        rows.append(read_row(result, packet))
        if len(rows) % AT_ONCE == 0:
            await _pause(connection)
    result.connection, result.affected_rows, result.rows = None, len(rows), tuple(rows)


async def _pause(connection: Any) -> None:
    try:
        await others_first()
    except asyncio.CancelledError:
        connection._close_on_cancel()  # noqa: SLF001 - the rest of the result is left in it
        raise


def read_row(result: Any, packet: Any) -> tuple[Any, ...]:
    """Return the row that *packet* holds, as `MySQLResult._read_row_from_packet` does."""
    data, at = packet.get_all_data(), 0
    row: list[Any] = []
    for encoding, converter in result.converters:
        length = data[at]
        at += 1
        if length == NULL:
            row.append(None)
            continue
        if length > NULL:
            width = WIDTHS[length]
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        cell = data[at : at + length]
        at += length
        text = cell.decode(encoding) if encoding is not None else cell
        row.append(converter(text) if converter is not None else text)
    return tuple(row)


def read_rows_quickly() -> None:
    """Make every connection of aiomysql read its rows so."""
    Connection._read_packet = read_packet  # noqa: SLF001
    MySQLResult._read_rowdata_packet = read_rows  # noqa: SLF001
