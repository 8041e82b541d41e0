"""Changes to many rows, each its own, in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, Update, bindparam, case, update

from tandem_server.storage.database import Transaction

ROWS_A_STATEMENT = 512
"""DML stays small: locks are held only as long as it takes, and a statement ends well within its bounds."""

Values = Mapping[str, Any]
"""New values by column."""


async def put(tx: Transaction, table: Table, rows: Mapping[str, Values]) -> None:
    """Give rows of *table*, which has a single primary key, their new values, by key.

    One statement changes up to 512 rows that change the same columns. An UPDATE a row would be a round trip a row.
    """
    shapes: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(rows):
        shapes[tuple(sorted(rows[key]))].append(key)
    for columns, keys in shapes.items():
        for start in range(0, len(keys) if columns else 0, ROWS_A_STATEMENT):
            part = keys[start : start + ROWS_A_STATEMENT]
            await _put(tx, table, part, {name: [rows[key][name] for key in part] for name in columns})


async def _put(tx: Transaction, table: Table, keys: list[str], columns: Mapping[str, Sequence[Any]]) -> None:
    same = tuple(name for name, values in columns.items() if all(value == values[0] for value in values))
    varying = tuple(name for name in columns if name not in same)
    count = 1 << (len(keys) - 1).bit_length() if varying else 0
    padding = max(0, count - len(keys))
    parameters: dict[str, Any] = {"keys": keys} | {f"new_{name}": columns[name][0] for name in same}
    for name in ("key", *varying) if varying else ():
        values = keys if name == "key" else columns[name]
        padded = (*values, *[values[-1]] * padding)
        parameters |= {f"{name}_{position}": value for position, value in enumerate(padded)}
    await tx.execute(_statement(table, same, varying, count), [parameters])


@lru_cache(maxsize=256)
def _statement(table: Table, same: tuple[str, ...], varying: tuple[str, ...], count: int) -> Update:
    """Return an UPDATE for *count* rows; callers pad to powers of two, so that few are ever compiled."""
    (key,) = table.primary_key
    columns = table.c
    values: dict[str, ColumnElement[Any]] = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in same}
    values |= {name: _by_key(key, columns[name], count) for name in varying}
    return update(table).where(key.in_(bindparam("keys", expanding=True, type_=key.type))).values(values)


def _by_key(key: Column[Any], column: Column[Any], count: int) -> ColumnElement[Any]:
    pairs = [
        (key == bindparam(f"key_{position}", type_=key.type), bindparam(f"{column.name}_{position}", type_=column.type))
        for position in range(count)
    ]
    return case(*pairs, else_=column)
