"""Rows are read as MySQL's protocol writes them."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from pymysql.protocol import MysqlPacket

from tandem_server.storage.dialects.aiomysql_rows import read_row

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
