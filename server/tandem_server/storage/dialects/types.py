"""Types of columns, and how tables are made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import DateTime, Dialect, LargeBinary, Numeric, String, Text, TypeDecorator
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from tandem_server.storage.dialects.family import MYSQL_FAMILY


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored without its zone in microseconds."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for microseconds, which it leaves out by default."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name in MYSQL_FAMILY else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Take the zone off, and write it for MySQL: PyMySQL takes ten times as long."""
        plain = value and value.astimezone(UTC).replace(tzinfo=None)
        return str(plain) if plain and dialect.name in MYSQL_FAMILY else plain

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:
        """Put the zone back."""
        read: Any = self.impl_instance.result_processor(dialect, coltype)
        if read is None:
            return lambda value: value and value.replace(tzinfo=UTC)
        return lambda value: value and read(value).replace(tzinfo=UTC)


class Exact(TypeDecorator[Decimal]):
    """A decimal with *precision* digits, *scale* of them behind the point; text on SQLite, which has no decimals."""

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(precision, scale)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Go round SQLite's floats."""
        return dialect.type_descriptor(String(40) if dialect.name == "sqlite" else self.impl_instance)

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write the decimal out where the database has none."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """Read the decimal back where the database has none."""
        return (lambda value: value and Decimal(value)) if dialect.name == "sqlite" else None


class Json(TypeDecorator[Any]):
    """A JSON value as text; NULL is None."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for more than the 64 KiB of its TEXT."""
        return dialect.type_descriptor(mysql.MEDIUMTEXT() if dialect.name in MYSQL_FAMILY else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Serialize, keys sorted, so that equal values are equal texts."""
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any]:  # noqa: ARG002
        """Parse."""
        return lambda value: value and orjson.loads(value)


TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
"""Keyword arguments of every table: texts compare by their bytes, as SQLite's do."""


def ascii_text(length: int) -> String:
    """Return the type of an id or a code: *length* ASCII characters at most, compared by their bytes."""
    plain = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return String(length).with_variant(plain, *MYSQL_FAMILY)


BYTES = LargeBinary().with_variant(mysql.MEDIUMBLOB(), *MYSQL_FAMILY)
"""Bytes of any length; MySQL's BLOB ends at 64 KiB."""
