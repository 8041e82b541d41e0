"""Logs: one line an event, JSON for machines or words for people, with the request and the trace that it belongs to.

Names and values go into `extra`, never into the message. Of exceptions only what they are and where they happened is
told: their messages may hold what somebody typed.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

REQUEST_ID: ContextVar[str] = ContextVar("REQUEST_ID", default="")
"""The id of the request that the current task serves."""

_NO_FACTS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        line = {"time": _instant(record), "level": record.levelname, "logger": record.name, **_facts(record)}
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Console(logging.Formatter):
    """One line of words; the stack of an exception is indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        facts = _facts(record)
        stack = str(facts.pop("exception", "")).replace("\n", "\n    ")
        words = [_instant(record)[11:-1], f"{record.levelname:7}", record.name, _bare(facts.pop("message"))]
        words += [f"{name}={_bare(value)}" for name, value in facts.items()]
        return " ".join(words) + (f"\n    {stack}" if stack else "")


def set_up(form: str) -> None:
    """Send all logs from INFO on to standard error as *form*: "json", "console", or "auto", which looks who reads."""
    people = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(Console() if people else Json())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def stack_of(error: BaseException) -> str:
    """Return what *error* and its causes are and where each was raised, but nothing that any of them says."""
    return "\n".join(line for each in reversed(list(_causes(error))) for line in _told(each))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()  # an exception may be its own cause: `raise error from error`
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
    kind = type(error)
    number = next((each for each in error.args[:1] if isinstance(each, int)), None)
    yield f"{kind.__module__}.{kind.__qualname__}" + ("" if number is None else f" {number}")


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what *record* says, with the request and the trace that it was written in."""
    facts: dict[str, Any] = {"message": record.getMessage()}
    facts |= {name: value for name, value in vars(record).items() if name not in _NO_FACTS}
    if request_id := REQUEST_ID.get():
        facts["request_id"] = request_id
    span = get_current_span().get_span_context()
    if span.is_valid:
        facts |= {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
    if record.exc_info and record.exc_info[1] is not None:
        facts["exception"] = stack_of(record.exc_info[1])
    return facts


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _bare(value: object) -> str:
    """Return *value* as one word, or in quotes where it is none; a line stays a line."""
    text = str(value)
    return text if text.isprintable() and '"' not in text else orjson.dumps(text).decode()
