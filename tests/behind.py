"""The database behind the server's back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, select
from sqlalchemy.engine import make_url

from tandem_server.storage.tables import metadata


@contextmanager
def connected(database_url: str) -> Iterator[Connection]:
    """Open a transaction on the server's database, committed at the end."""
    url = make_url(database_url)
    engine = create_engine(url.set(drivername="sqlite" if url.get_backend_name() == "sqlite" else "mysql+pymysql"))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def everything_in(database_url: str) -> dict[str, list[str]]:
    """Return all rows of all tables as text, but when keys were used."""
    with connected(database_url) as connection:
        return {
            table.name: sorted(
                repr(tuple(row))
                for row in connection.execute(select(*(column for column in table.c if column.name != "last_used_at")))
            )
            for table in metadata.sorted_tables
        }
