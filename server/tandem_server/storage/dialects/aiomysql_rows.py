"""How rows are read with aiomysql: its own way, five calls a cell, takes a fifth of the time that a backlog takes."""

from __future__ import annotations

from typing import Any

from aiomysql.connection import MySQLResult

NULL = 251
WIDTHS = {252: 2, 253: 3, 254: 8}
"""How many bytes tell the length of a cell whose first byte is one of these; any lower one is the length itself."""


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
    MySQLResult._read_row_from_packet = read_row  # noqa: SLF001 - there is no other way in
