"""Fresh databases: made for one figure, counted while it runs, dropped when it ends."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url

SCRIPTS = Path(__file__).resolve().parents[1]
VARIABLES = ("innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "innodb_buffer_pool_size")
COUNTS = text(
    "SELECT EVENT_NAME, COUNT_STAR FROM performance_schema.events_statements_summary_by_user_by_event_name "
    "WHERE USER = :user AND COUNT_STAR > 0"
)


@dataclass(frozen=True)
class Database:
    """A database of its own. *url* is the server's, with an account of its own; *admin* is ours."""

    url: str
    admin: str
    account: str

    @property
    def embedded(self) -> bool:
        """Whether it is SQLite: one server only, no process and no counters of its own."""
        return make_url(self.url).get_backend_name() == "sqlite"

    def driven_by(self, driver: str) -> Database:
        """Return the same database, which its server is to reach by *driver*."""
        url = make_url(self.url)
        return replace(self, url=_whole(url.set(drivername=f"{url.get_backend_name()}+{driver}")))

    def engine(self) -> Engine:
        """Return a way to it for us, without an event loop; products of tables are what we want there."""
        return create_engine(plain(make_url(self.admin)), enable_from_linting=False)

    def statements(self) -> dict[str, int]:
        """Return how many statements the server has sent by now, by kind; none where the database does not count."""
        if self.embedded:
            return {}
        engine = self.engine()
        with engine.connect() as connection:
            rows = connection.execute(COUNTS, {"user": self.account}).all()
        engine.dispose()
        return {str(name).rpartition("/")[2]: int(count) for name, count in rows}

    def pid(self) -> int | None:
        """Return the process id of the database server, None where it is not to be had."""
        file = None if self.embedded else self._pid_file()
        return int(file.read_text()) if file else None

    def disk(self) -> Path | None:
        """Return a folder on the disk where the database is, None where that is another machine's."""
        if self.embedded:
            return Path(str(make_url(self.url).database)).parent
        file = self._pid_file()
        return file.parents[1] if file else None

    def _pid_file(self) -> Path | None:
        folder, name = _ask(self.admin, "SELECT @@datadir, @@pid_file")
        file = Path(str(folder)) / str(name)
        return file if file.is_file() else None

    def facts(self) -> dict[str, Any]:
        """Return the version and the settings that bear on speed."""
        if self.embedded:
            return {"version": f"SQLite {_ask(self.admin, 'SELECT sqlite_version()')[0]}"}
        version = " ".join(map(str, _ask(self.admin, "SELECT VERSION(), @@version_comment")))
        values = _ask(self.admin, f"SELECT {', '.join(f'@@{name}' for name in VARIABLES)}")
        return {"version": version, **dict(zip(VARIABLES, values, strict=True))}


def told(database: str) -> str:
    """Return the URL that *database* means: "sqlite", "mysql" (the throw-away one, started here) or itself."""
    if database == "sqlite":
        return "sqlite+aiosqlite://"
    if database != "mysql":
        return database
    command = [str(SCRIPTS / "mysql"), "start"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=1200).stdout.strip()


@contextmanager
def fresh(url: str, folder: Path) -> Iterator[Database]:
    """Make a database where *url* says, or in *folder* if it is SQLite, and drop it at the end."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        place = parsed.set(database=str(folder / "tandem.db")).render_as_string()
        yield Database(place, place, "")
        return
    name, password = f"tandem_bench_{secrets.token_hex(4)}", secrets.token_hex(16)
    admin = parsed.set(database=name)
    server = admin.set(username=name, password=password)
    _run(
        parsed,
        f"CREATE DATABASE {name}",
        f"CREATE USER {name} IDENTIFIED BY '{password}'",
        f"GRANT ALL ON {name}.* TO {name}",
    )
    try:
        yield Database(_whole(server), _whole(admin), name)
    finally:
        _run(parsed, f"DROP DATABASE {name}", f"DROP USER {name}")


def _whole(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def plain(url: URL) -> URL:
    """Return *url* with a driver that needs no event loop."""
    return url.set(drivername="sqlite" if url.get_backend_name() == "sqlite" else "mysql+pymysql")


def _ask(url: str, statement: str) -> tuple[Any, ...]:
    engine = create_engine(plain(make_url(url)))
    with engine.connect() as connection:
        row = connection.execute(text(statement)).one()
    engine.dispose()
    return tuple(row)


def _run(url: URL, *statements: str) -> None:
    engine = create_engine(plain(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
