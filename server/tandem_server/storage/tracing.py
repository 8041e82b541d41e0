"""Statements as spans, by OpenTelemetry's conventions for databases: what they say, never the values they carry."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry.trace import get_current_span
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tandem_proto.tracing import leaf

TEXT_LENGTH = 1000
"""Characters of a statement that are told: of five hundred placeholders in a row a few will do."""

TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+[`\"]?(\w+)")


def trace_statements(engine: AsyncEngine) -> None:
    """Make a span of every statement that *engine* executes for somebody whose call is traced."""
    event.listen(engine.sync_engine, "before_cursor_execute", _begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)


@contextmanager
def spanning(statement: str, dialect: str) -> Iterator[None]:
    """Make a span of *statement*, which is executed as long as the context lasts."""
    started = _started()
    try:
        yield
    except BaseException as error:
        _tell(statement, dialect, started, error)
        raise
    _tell(statement, dialect, started)


def _begin(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    context.tandem_started = _started()


def _end(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    _tell(statement, connection.dialect.name, context.tandem_started)


def _fail(failure: Any) -> None:
    started = getattr(failure.execution_context, "tandem_started", 0)
    _tell(failure.statement, failure.dialect.name, started, failure.original_exception)


def _started() -> int:
    """Return the time, or 0 where nobody wants to be told."""
    return time.time_ns() if get_current_span().is_recording() else 0


def _tell(statement: str, dialect: str, started: int, error: BaseException | None = None) -> None:
    if started:
        attributes = (("db.system.name", dialect), ("db.query.text", statement[:TEXT_LENGTH]))
        leaf(_summary(statement), attributes, started, error)


@lru_cache(maxsize=512)
def _summary(statement: str) -> str:
    """Return the verb of *statement* and the first table it names, as in "SELECT orders"."""
    table = TABLE.search(statement)
    return " ".join(filter(None, (statement.split(None, 1)[0], table and table[1])))
