"""Rows as one parameter: a table made of JSON, so that many rows change in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Column, Table, TableValuedAlias, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tandem_server.storage.dialects.types import Json


class JsonRows(FunctionElement[Any]):
    """A JSON array of arrays as rows; the columns are those of `table_valued`, by position."""

    name = "json_rows"
    inherit_cache = True


@compiles(JsonRows)
def _mysql_rows(element: Any, compiler: Any, **options: Any) -> str:
    written = compiler.dialect.type_compiler_instance.process
    columns = [f"{c.name} {written(c.type)} PATH '$[{place}]'" for place, c in enumerate(element.type._elements)]  # noqa: SLF001
    return f"JSON_TABLE({compiler.process(element.clauses, **options)}, '$[*]' COLUMNS ({', '.join(columns)}))"


@compiles(JsonRows, "sqlite")
def _sqlite_rows(element: Any, compiler: Any, **options: Any) -> str:
    columns = [f"json_extract(value, '$[{place}]') AS {c.name}" for place, c in enumerate(element.type._elements)]  # noqa: SLF001
    return f"(SELECT {', '.join(columns)} FROM json_each({compiler.process(element.clauses, **options)}))"  # noqa: S608 -- names of our columns


def given(table: Table, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> TableValuedAlias:
    """Return *rows* as a table called `given`, with the columns *names* as *table* has them: texts, numbers, JSON."""
    texts = {name for name in names if isinstance(table.c[name].type, Json)}
    document = [[_text(row[name]) if name in texts else row[name] for name in names] for row in rows]
    parameter = bindparam(None, orjson.dumps(document).decode(), type_=Text())
    columns = [Column(name, table.c[name].type) for name in names]
    return JsonRows(parameter).table_valued(*columns, name="given")


def _text(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
