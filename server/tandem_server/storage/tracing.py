"""Statements as spans, by OpenTelemetry's conventions for databases: what they say, never the values they carry."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from opentelemetry.trace import get_current_span

from tandem_proto.tracing import leaf

TEXT_LENGTH = 1000
"""Characters of a statement that are told: of five hundred placeholders in a row a few will do."""

TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+[`\"]?(\w+)")


@dataclass
class Told:
    """The text of a statement, as it was sent."""

    text: str = ""


@contextmanager
def spanning(statement: object, dialect: str) -> Iterator[Told]:
    """Make a span of *statement*, which is executed as long as the context lasts, if the caller's trace is recorded.

    SQLAlchemy would tell of its start and end, too, and takes twice the time of all of this for that alone.
    """
    started = time.time_ns() if get_current_span().is_recording() else 0
    told = Told()
    try:
        yield told
    except BaseException as error:
        if started:
            text = getattr(error, "statement", None)  # empty where a connection was lost, and of a COMMIT
            _tell(str(text or statement), dialect, started, error)
        raise
    if started:
        _tell(told.text or str(statement), dialect, started)


def _tell(statement: str, dialect: str, started: int, error: BaseException | None = None) -> None:
    attributes = (("db.system.name", dialect), ("db.query.text", statement[:TEXT_LENGTH]))
    leaf(_summary(statement), attributes, started, getattr(error, "orig", error))


@lru_cache(maxsize=512)
def _summary(statement: str) -> str:
    """Return the verb of *statement* and the first table it names, as in "SELECT orders"."""
    table = TABLE.search(statement)
    return " ".join(filter(None, (statement.split(None, 1)[0], table and table[1])))
