"""Rows as one parameter: a table made of JSON, so that many rows change in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Column, Dialect, Table, TableValuedAlias, Text, TypeDecorator, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from tandem_server.storage.dialects.family import MYSQL_FAMILY
from tandem_server.storage.dialects.types import Instant, Json


class Document(TypeDecorator[bytes]):
    """JSON as a parameter; for MySQL in hexadecimal digits, since PyMySQL takes 30 ns a character to escape a text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Write it as `JsonRows` reads it."""
        if value is None:
            return None
        return value.hex() if dialect.name in MYSQL_FAMILY else value.decode()


class JsonRows(FunctionElement[Any]):
    """A JSON array of arrays as rows; the columns are those of `table_valued`, by position."""

    name = "json_rows"
    inherit_cache = True


@compiles(JsonRows)
def _mysql_rows(element: Any, compiler: Any, **options: Any) -> str:
    written = compiler.dialect.type_compiler_instance.process
    columns = [f"{c.name} {written(c.type)} PATH '$[{place}]'" for place, c in enumerate(element.type._elements)]  # noqa: SLF001
    document = f"CONVERT(UNHEX({compiler.process(element.clauses, **options)}) USING utf8mb4)"
    return f"JSON_TABLE({document}, '$[*]' COLUMNS ({', '.join(columns)}))"


@compiles(JsonRows, "sqlite")
def _sqlite_rows(element: Any, compiler: Any, **options: Any) -> str:
    columns = [f"json_extract(value, '$[{place}]') AS {c.name}" for place, c in enumerate(element.type._elements)]  # noqa: SLF001
    return f"(SELECT {', '.join(columns)} FROM json_each({compiler.process(element.clauses, **options)}))"  # noqa: S608 -- names of our columns


def given(table: Table, names: tuple[str, ...]) -> TableValuedAlias:
    """Return rows as a table called `given`: columns as those of *table*, all but decimals.

    A statement with it should be made once for the same columns: `giving` is what it is executed with.
    """
    columns = [Column(name, table.c[name].type) for name in names]
    return JsonRows(bindparam("given", type_=Document())).table_valued(*columns, name="given")


def giving(table: Table, told: Mapping[str, Sequence[Any]]) -> dict[str, bytes]:
    """Return the parameter that makes rows of what is *told*, the values of each column."""
    written = [_column(values, table.c[name].type) for name, values in told.items()]
    return {"given": orjson.dumps(list(zip(*written, strict=True)))}


def _column(values: Sequence[Any], kind: TypeEngine[Any]) -> Sequence[Any]:
    """Return *values* as JSON has them: documents and instants as texts."""
    if isinstance(kind, Json):
        return [None if value is None else _document(value) for value in values]
    if isinstance(kind, Instant):
        written = {value: _instant(value) for value in set(values)}
        return [written[value] for value in values]
    return values


def _document(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _instant(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
