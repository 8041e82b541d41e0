"""Statements as spans, by OpenTelemetry's conventions for databases: what they say, never the values they carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry.trace import Span, SpanKind, get_current_span
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tandem_proto.tracing import TRACER, fail

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
    span = _start(statement, dialect)
    try:
        yield
    except BaseException as error:
        _finish(span, error)
        raise
    _finish(span)


def _begin(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    context.tandem_span = _start(statement, connection.dialect.name)


def _end(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    _finish(context.tandem_span)


def _fail(failure: Any) -> None:
    _finish(getattr(failure.execution_context, "tandem_span", None), failure.original_exception)


def _start(statement: str, dialect: str) -> Span | None:
    if not get_current_span().is_recording():
        return None
    attributes = {"db.system.name": dialect, "db.query.text": statement[:TEXT_LENGTH]}
    return TRACER.start_span(_summary(statement), kind=SpanKind.CLIENT, attributes=attributes)


def _finish(span: Span | None, error: BaseException | None = None) -> None:
    if span is None:
        return
    if error is not None:
        fail(span, error)
    span.end()


@lru_cache(maxsize=512)
def _summary(statement: str) -> str:
    """Return the verb of *statement* and the first table it names, as in "SELECT orders"."""
    table = TABLE.search(statement)
    return " ".join(filter(None, (statement.split(None, 1)[0], table and table[1])))
